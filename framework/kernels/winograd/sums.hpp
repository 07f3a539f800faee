// Whether grad_weight's sums by point are worth their taps. A tap is made of sums that also hold products which are
// none of its own and cancel: where these are far larger than the tap, their roundings are all that is left of it. So
// it is where x or dy has a value far above the others and a tap does not meet it: only padding or zeros of dy do.
// Internal.
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

/// A point, and its share in a tap.
struct PointShare {
  std::int64_t point;
  double share;
};
/// Some points that together hold every element of a tile.
std::vector<PointShare> shares_of(const Points& points);
/// The same of a stride of 2.
std::vector<PointShare> strided_shares();

/// Whether no voxel but those of zeros has a largest |v| far below another's, and all are finite: sums of such numbers
/// need no check.
template <class T>
bool has_even_voxels(std::int64_t voxels, std::int64_t channels, const T* v);

template <class T>
class SumsCheck {
 public:
  /// Of sums that so many tasks add up.
  SumsCheck(const Conv3dProblem& p, std::vector<PointShare> points, std::int64_t tasks);

  /// A task's rows of all points: row r of point i at u + i * point_stride + r * stride.
  void add_points(std::int64_t task, std::int64_t rows, std::int64_t channels, const T* u, std::int64_t point_stride,
                  std::int64_t stride);
  /// Its rows of a tap of the kernel, row r at dw + r * stride.
  void add_tap(std::int64_t task, std::int64_t tap, std::int64_t rows, std::int64_t channels, const T* dw,
               std::int64_t stride);
  /// Whether no tap that meets anything is far smaller than its sums, and all are finite.
  bool are_even() const;

 private:
  std::vector<PointShare> points_;
  std::vector<bool> meets_;  // of taps
  std::int64_t taps_;
  std::vector<T> most_sums_, most_taps_;  // by task
};

}  // namespace vg::kernels::winograd
