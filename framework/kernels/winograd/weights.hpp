// The transform of weights for Winograd convolutions, and the inverse transform of weight gradients. Internal.
#pragma once

#include <algorithm>
#include <cstdint>

#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/kernels/common/driver.hpp"
#include "voxgrad/framework/kernels/common/kernel_table.hpp"
#include "voxgrad/framework/kernels/common/pack.hpp"
#include "voxgrad/framework/kernels/winograd/tiling.hpp"

namespace vg::kernels::winograd {

inline std::int64_t round_up(std::int64_t n, std::int64_t unit) { return ceil_div(n, unit) * unit; }

/// Where the transformed weights of some slices (each_weights) are written, in whole vectors of output channels: point
/// p, row r at u + p * point_stride + r * u_stride. With at most 2 * lanes channels and u_stride = round_up(channels,
/// lanes), a point has the packed layout of igemm.
template <class T>
struct WeightBlock {
  std::int64_t row_begin, row_end, co_begin, channels;
  int slice, slices;
  T* u;
  std::int64_t point_stride, u_stride;
};

/// Transforms the taps of a subkernel (subkernels.hpp) with shape p. Rows are the input channels of the data pass; row
/// block.row_begin is written to block.u. `table` determines the vector length.
template <class T>
void transform_weights(const Conv3dProblem& p, const Tiling& tiling, const Weights<T>& from, bool transpose,
                       const WeightBlock<T>& block, const WinogradTable<T>& table = current_winograd_table<T>());

/// f(slice, number of slices to transform together): each slice alone, or all at once for wide tiles.
template <class F>
void each_weights(const Points& points, const F& f) {
  const int together = points.has_wide_tiles() ? points.slices() : 1;
  for (int slice = 0; slice < points.slices(); slice += together) f(slice, together);
}

/// All transformed weights, each point in the packed layout of igemm; rows are (subkernel, input channel).
template <class T>
class TransformedWeights {
 public:
  TransformedWeights(const Conv3dProblem& p, const Tiling& tiling, bool transpose, const T* w);
  const T* point(std::int64_t index) { return u_.data() + index * point_stride_; }
  std::int64_t point_stride() const { return point_stride_; }

 private:
  std::int64_t lanes_, point_stride_;
  memory::Scratch<T> u_;
};

/// Weight gradients per point, for some rows and channels in all slices: point i, row r at u + i * point_stride + r *
/// stride.
template <class T>
struct PointRows {
  std::int64_t rows, channels;
  const T* u;
  std::int64_t point_stride, stride;
};

/// Transforms weight gradients to taps: tap t, row r at dw + t * tap_stride + r * row_stride.
template <class T>
void inverse_transform_wgrad(const Tiling& tiling, const PointRows<T>& from, T* dw, std::int64_t tap_stride,
                             std::int64_t row_stride);

}  // namespace vg::kernels::winograd
