// A volume whose channels are split over several tensors, in the order of a concatenation. Plain data.
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

/// A view of one tensor.
template <class T>
ConcatView<T> single(T* data, std::int64_t channels) {
  return {{data}, {channels}, 1};
}

/// Calls f(data, number of channels, channels before) for each tensor in order.
template <class T, class F>
void for_each_source(const ConcatView<T>& volume, const F& f) {
  std::int64_t before = 0;
  for (int i = 0; i < volume.count; ++i) {
    f(volume.data[i], volume.channels[i], before);
    before += volume.channels[i];
  }
}

}  // namespace vg::kernels
