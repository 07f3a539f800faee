// A volume whose channels lie in several tensors, side by side, as a concatenation would hold them. Plain data.
#pragma once

#include <cstdint>

namespace vg::kernels {

/// Tensor i has channels[i] channels, and all have the same other extents.
template <class T>
struct ConcatView {
  static constexpr int most = 4;
  T* data[most];
  std::int64_t channels[most];
  int count;
};

/// One tensor.
template <class T>
ConcatView<T> single(T* data, std::int64_t channels) {
  return {{data}, {channels}, 1};
}

/// f(tensor's data, its channels, those before it)
template <class T, class F>
void for_each_source(const ConcatView<T>& volume, const F& f) {
  std::int64_t before = 0;
  for (int i = 0; i < volume.count; ++i) {
    f(volume.data[i], volume.channels[i], before);
    before += volume.channels[i];
  }
}

}  // namespace vg::kernels
