// Checks whether the sums per point of grad_weight give accurate taps. The sums of a tap also contain products that do
// not belong to it and cancel. If these are far larger than the tap, only their rounding errors remain. This happens if
// x or dy has a value far above the others and a tap does not use it, because only padding or zeros of dy coincide with
// it. Internal.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "voxgrad/framework/kernels/common/problem.hpp"
#include "voxgrad/framework/kernels/winograd/tiling.hpp"
#include "voxgrad/framework/kernels/winograd/transforms/table.hpp"

namespace vg::kernels::winograd {

/// A point and its coefficient in the taps.
struct PointShare {
  std::int64_t point;
  double share;
};
/// Points that together use every element of a tile.
std::vector<PointShare> shares_of(const Points& points);
/// The same for stride 2.
std::vector<PointShare> strided_shares();

/// Whether all values are finite and, apart from voxels of zeros, the largest |v| of no voxel is far below that of
/// another. Sums of such values need no check.
template <class T>
bool has_even_voxels(std::int64_t voxels, std::int64_t channels, const T* v);

template <class T>
class SumsCheck {
 public:
  /// `points`: see shares_of. `tasks` tasks call add_points and add_tap.
  SumsCheck(const Conv3dProblem& p, std::vector<PointShare> points, std::int64_t tasks);

  /// Adds a task's rows of all points: row r of point i at u + i * point_stride + r * stride.
  void add_points(std::int64_t task, std::int64_t rows, std::int64_t channels, const T* u, std::int64_t point_stride,
                  std::int64_t stride);
  /// Adds a task's rows of one tap of the kernel, row r at dw + r * stride.
  void add_tap(std::int64_t task, std::int64_t tap, std::int64_t rows, std::int64_t channels, const T* dw,
               std::int64_t stride);
  /// Whether all sums and taps are finite, and no tap that uses any input is far smaller than the largest sum.
  bool are_even() const;

 private:
  std::vector<PointShare> points_;
  std::vector<bool> meets_;  // of taps
  std::int64_t taps_;
  std::vector<T> most_sums_, most_taps_;  // per task
};

}  // namespace vg::kernels::winograd
