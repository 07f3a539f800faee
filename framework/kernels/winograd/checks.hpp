// Checks whether results are accurate. Internal.
//
// Data passes: in long and wide tiles the rounding errors of each input reach all outputs of its tile, even those that
// do not use it. If one value is far above the others, such outputs are inaccurate; if one is not finite, all outputs
// of the tile are lost. In f2 tiles an input reaches only outputs that use it. So tiles whose outputs are uneven (far
// apart in size) are computed again with f2 tiles, each by itself, before an epilogue or a store uses the outputs of
// the block. From a few outputs, the output transform bounds how far apart the outputs of each block are
// (WinogradLevels). For ordinary values no more is done. If the bound is too large, the outputs are inspected one by
// one. Those that use only zeros, for example outside of an object or in a masked gradient, become zero. A tile with
// other small outputs is computed again if outputs of the block are also far above ordinary ones.
//
// Backward-weights: the sums of a tap also contain products that do not belong to it and cancel. If these are far
// larger than the tap, only their rounding errors remain. This happens if x or dy has a value far above the others and
// a tap does not use it, because only padding or zeros of dy coincide with it.
#pragma once

#include <cmath>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

#include "voxgrad/framework/kernels/common/concat_view.hpp"
#include "voxgrad/framework/kernels/common/problem.hpp"
#include "voxgrad/framework/kernels/winograd/output.hpp"
#include "voxgrad/framework/kernels/winograd/tiling.hpp"

namespace vg::kernels::winograd {

/// Whether the outputs of a block must be inspected. For normally distributed outputs `most` is at most 100 times the
/// variance, and `least` at least a fiftieth of it (8 channels).
template <class T>
bool may_be_uneven(const WinogradLevels<T>& levels) {
  return !(levels.most <= T(1 << 14) * levels.least) || !std::isfinite(levels.total);
}

/// The arguments of the data pass, as those of winograd::data_pass.
template <class T>
class DataPassOperands {
 public:
  DataPassOperands(const Conv3dProblem& problem, bool transposed, const ConcatView<const T>& inputs, const T* weights)
      : p(problem), transpose(transposed), x(inputs), w(weights) {}
  /// The approximate size of an output where x is small and not zero. It is estimated from samples of the weights and
  /// of the voxels of x that are not zero (their 12.5th percentile).
  T ordinary() const;

  const Conv3dProblem& p;
  const bool transpose;
  const ConcatView<const T>& x;
  const T* const w;

 private:
  mutable std::once_flag once_;
  mutable T ordinary_ = 0;
};

/// Inspects the outputs of a block, to which all slices have been added, and computes uneven tiles again.
template <class T>
void mend_uneven_tiles(const DataPassOperands<T>& of, const Tiling& tiling, const Tiling::Block& block,
                       const WinogradLevels<T>& found, BlockOutputs<T>& y);

/// Whether all values are finite and, apart from voxels of zeros, the largest |v| of no voxel is far below that of
/// another. Sums of such values need no check.
template <class T>
bool has_even_voxels(std::int64_t voxels, std::int64_t channels, const T* v);

/// The check of grad_weight.
template <class T>
class SumsCheck {
 public:
  /// `tasks` tasks call add_points and add_tap.
  SumsCheck(const Conv3dProblem& p, const Scheme& scheme, std::int64_t tasks);

  /// Adds a task's rows of all points: row r of point i at u + i * point_stride + r * stride.
  void add_points(std::int64_t task, std::int64_t rows, std::int64_t channels, const T* u, std::int64_t point_stride,
                  std::int64_t stride);
  /// Adds a task's rows of one tap of the kernel, row r at dw + r * stride.
  void add_tap(std::int64_t task, std::int64_t tap, std::int64_t rows, std::int64_t channels, const T* dw,
               std::int64_t stride);
  /// Whether all sums and taps are finite, and no tap that uses any input is far smaller than the largest sum.
  bool are_even() const;

 private:
  std::vector<std::pair<std::int64_t, double>> shares_;  // points that together use every element, and their shares
  std::vector<bool> is_used_;                            // of taps
  std::int64_t taps_;
  std::vector<T> most_sums_, most_taps_;  // per task
};

}  // namespace vg::kernels::winograd
