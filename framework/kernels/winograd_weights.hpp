// Weights by point for Winograd convolutions, and gradients back to taps. Internal.
#pragma once

#include <algorithm>
#include <cstdint>

#include "framework/kernels/driver.hpp"
#include "framework/kernels/kernel_table.hpp"
#include "framework/kernels/packing.hpp"
#include "framework/kernels/winograd_tiling.hpp"
#include "framework/memory.hpp"

namespace vg::kernels::winograd {

inline std::int64_t round_up(std::int64_t n, std::int64_t unit) { return ceil_div(n, unit) * unit; }

/// Where a block of up to 2 * lanes output channels of one slice is written: point p, row r at u + p * point_stride +
/// r * round_up(channels, lanes). Each point is packed as gather_dense wants a block.
template <class T>
struct WeightBlock {
  std::int64_t row_begin, row_end, co_begin, channels;
  int slice;
  T* u;
  std::int64_t point_stride;
};

/// Taps to points; rows are the gather's input channels, of which row_begin stands at block.u.
template <class T>
void weights_to_points(const Conv3dProblem& p, const Tiling& tiling, const Weights<T>& from, bool transpose,
                       const WeightBlock<T>& block);

/// All weights by point, each point packed as gather_dense wants.
template <class T>
class PointWeights {
 public:
  PointWeights(const Conv3dProblem& p, const Tiling& tiling, bool transpose, const T* w);
  const T* point(std::int64_t index) { return u_.data() + index * point_stride_; }

 private:
  std::int64_t lanes_, point_stride_;
  memory::Scratch<T> u_;
};

/// Gradients by point, of rows [row, row + rows) and channels [co, co + channels), in one slice: added into dw, as
/// slices are (WinogradTable::taps).
template <class T>
void points_to_taps(const Conv3dProblem& p, const Tiling& tiling, std::int64_t row, std::int64_t rows, std::int64_t co,
                    std::int64_t channels, const T* u, std::int64_t point_stride, std::int64_t u_stride, T* dw);

}  // namespace vg::kernels::winograd
