#include "voxgrad/framework/kernels/common/pack.hpp"

#include <algorithm>

#include "voxgrad/framework/base/threads.hpp"
#include "voxgrad/framework/kernels/common/driver.hpp"

namespace vg::kernels {

using std::int64_t;

namespace {

/// Packs ci_count rows of one tap: n output channels each, zero-filled to `width`.
template <class T>
void pack_tap(const Weights<T>& w, const T* from, int64_t ci_count, int64_t n, int64_t width, T* to) {
  if (w.co_stride == 1) {
    for (int64_t ci = 0; ci < ci_count; ++ci, to += width) {
      for (int64_t c = 0; c < n; ++c) to[c] = from[ci * w.ci_stride + c];
      for (int64_t c = n; c < width; ++c) to[c] = T(0);
    }
    return;
  }
  for (int64_t c = 0; c < width; ++c) {
    const T* const column = from + c * w.co_stride;
    for (int64_t ci = 0; ci < ci_count; ++ci) to[ci * width + c] = c < n ? column[ci * w.ci_stride] : T(0);
  }
}

}  // namespace

template <class T>
Weights<T> weights_of(const Conv3dProblem& p, const T* w, bool transpose) {
  if (!transpose) return {w, p.in_channels / p.groups * p.out_channels, p.out_channels, 1, p.out_channels / p.groups};
  const int64_t columns = p.in_channels, tap_size = p.out_channels / p.groups * columns;  // p is already transposed
  return {w + (taps(p) - 1) * tap_size, -tap_size, 1, columns, p.in_channels / p.groups};
}

int64_t packed_size(const Conv3dProblem& p, bool few, int64_t lanes) {
  const int64_t co = p.out_channels / p.groups;
  return taps(p) * (p.in_channels / p.groups) * (few ? co : ceil_div(co, lanes) * lanes);
}

template <class T>
void pack(const Conv3dProblem& p, const Weights<T>& w, bool few, int64_t lanes, T* packed) {
  const int64_t ci = p.in_channels / p.groups, co = p.out_channels / p.groups, n_taps = taps(p), rows = n_taps * ci;
  const int64_t group_size = packed_size(p, few, lanes);
  const bool serial = group_size * p.groups < 32'768;
  parallel_for(
      p.groups * n_taps,
      [&](int64_t task) {
        const int64_t group = task / n_taps, tap = task % n_taps;
        const T* const from = w.origin + group * w.group_stride + tap * w.tap_stride;
        T* const to = packed + group * group_size;
        if (few) {
          for (int64_t c = 0; c < co; ++c)
            for (int64_t i = 0; i < ci; ++i) to[c * rows + tap * ci + i] = from[c * w.co_stride + i * w.ci_stride];
          return;
        }
        for (int64_t c = 0; c < co; c += 2 * lanes) {
          const int64_t width = co - c > lanes ? 2 * lanes : lanes;
          pack_tap(w, from + c * w.co_stride, ci, std::min(width, co - c), width, to + rows * c + tap * ci * width);
        }
      },
      serial);
}

template <class T>
void pack_rows(const Conv3dProblem& p, const Weights<T>& w, T* packed) {
  const int64_t ci = p.in_channels / p.groups, co = p.out_channels / p.groups;
  for (int64_t tap = 0; tap < taps(p); ++tap)
    for (int64_t i = 0; i < ci; ++i)
      for (int64_t c = 0; c < p.out_channels; ++c)
        *packed++ = w.origin[c / co * w.group_stride + tap * w.tap_stride + i * w.ci_stride + c % co * w.co_stride];
}

template Weights<float> weights_of<float>(const Conv3dProblem&, const float*, bool);
template void pack<float>(const Conv3dProblem&, const Weights<float>&, bool, int64_t, float*);
template void pack_rows<float>(const Conv3dProblem&, const Weights<float>&, float*);
template Weights<Bf16Pair> weights_of<Bf16Pair>(const Conv3dProblem&, const Bf16Pair*, bool);
template void pack<Bf16Pair>(const Conv3dProblem&, const Weights<Bf16Pair>&, bool, int64_t, Bf16Pair*);
template Weights<double> weights_of<double>(const Conv3dProblem&, const double*, bool);
template void pack<double>(const Conv3dProblem&, const Weights<double>&, bool, int64_t, double*);
template void pack_rows<double>(const Conv3dProblem&, const Weights<double>&, double*);

}  // namespace vg::kernels
