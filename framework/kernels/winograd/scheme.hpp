// A Winograd scheme as data: the sizes of its tiles, its points, its products and the order of its slices. Internal to
// framework/kernels.
//
// Along each axis a tile has `elements` inputs and `outputs` outputs, and the next tile begins `step` inputs further.
// The transforms of a tile give the values of x, w and y at some points, and each product multiplies a point of x by a
// point of w and adds to a point of y. Except with stride 2 these three points have the same number.
//
// Five taps along an axis are two subkernels of three taps, two outputs apart: taps (0, 1, none) and (2, 3, 4). The
// second subkernel reads at a tile the inputs that the first one reads at the next tile. So inputs are transformed
// once, and the products at a point are a convolution over tiles with two taps along each such axis: 8 products for 2
// outputs instead of 10, and in three dimensions 64 x 8 for 8 outputs instead of 125 x 8.
//
// With stride 2, and with input dilation 2, the products at several pairs of points add to the same point of y
// (strided-inl.hpp).
#pragma once

#include <cstdint>

#include "voxgrad/framework/kernels/common/problem.hpp"
#include "voxgrad/framework/kernels/winograd/transforms/table.hpp"

namespace vg::kernels::winograd {

/// Outputs per tile: f2 has two along each axis with 3 or 5 taps, f4_depth four along D if D has three taps, and
/// f4_complex four along every axis if each has three taps.
enum class WinogradTile { f2, f4_depth, f4_complex };

/// Whether Winograd can compute this pass of p: stride 1, no input dilation, 3 or 5 taps along at least one axis and 1
/// along the others; sizes, pads and the kernel's dilation are free. With groups it needs a data pass and at most 3
/// taps per axis. It also applies to every problem that satisfies is_strided.
bool applies(const Conv3dProblem& p, Pass pass = Pass::forward);
/// Whether p has, along all axes, three taps without dilation, and either stride 2 and no input dilation or, not for
/// grad_weight, stride 1 and input dilation 2. It must have one group. Such a problem has a scheme of its own.
bool is_strided(const Conv3dProblem& p, Pass pass);

/// The most subkernels of a scheme: two along each axis.
inline constexpr int most_subkernels = 8;

/// Slices are processed one after the other. A slice is one point along H, and a stage is one slice. For wide tiles a
/// slice is one PointPair along H and one along W, and a stage is three slices or all nine; the outputs of a stage are
/// summed together (complex-inl.hpp). With stride 2 there is one slice.
struct Scheme {
  Scheme(const Conv3dProblem& p, WinogradTile tiles);

  int elements[3], outputs[3], step[3];
  int along[3];           ///< points of x along each axis
  int subkernels[3];      ///< of at most three taps, numbered row-major
  int stage_slices;       ///< slices per stage
  bool strided, dilated;  ///< stride 2 or input dilation 2; only the latter

  bool has_long_tiles() const { return along[2] == 6 && along[0] != 6; }
  bool has_wide_tiles() const { return along[0] == 6; }
  /// Whether an input affects outputs of its tile that do not use it.
  bool spreads() const { return along[2] == 6; }
  std::int64_t tile_rows() const { return outputs[0] * outputs[1]; }
  std::int64_t tile_outputs() const { return tile_rows() * outputs[2]; }

  int slices() const { return has_wide_tiles() ? wide::slices : strided ? 1 : along[0]; }
  /// The slices per stage of blocks of remainder tiles, which omit slices.
  int remainder_stage_slices() const { return has_wide_tiles() ? wide::slices_per_stage : stage_slices; }
  /// Number of points of x in the slices [first, first + count).
  int points(int first, int count) const {
    if (!has_wide_tiles()) return count * (strided ? along[0] : 1) * along[1] * along[2];
    int n = 0;
    for (int slice = first; slice < first + count; ++slice) n += wide::points_of(slice);
    return n;
  }
  /// Number of points in the slices [0, slice).
  int before(int slice) const { return points(0, slice); }
  int all() const { return points(0, slices()); }
  /// The largest number of points that `count` consecutive slices of a stage have.
  int most(int count) const { return points(slices() - count, count); }
  /// The same numbers for w and y.
  int w_points() const { return strided ? 64 : all(); }
  int y_points(int first, int count) const { return !strided ? points(first, count) : dilated ? 125 : 27; }
  int most_y(int count) const { return y_points(slices() - count, count); }

  int all_subkernels() const { return subkernels[0] * subkernels[1] * subkernels[2]; }
  /// Subkernels that read different rows: those along H and W.
  int subkernel_rows() const { return subkernels[0] * subkernels[1]; }
  /// Input tiles of a run along D in excess of its output tiles.
  int halo() const { return subkernels[2] - 1; }
};

/// The products along an axis with stride 2, and with input dilation 2: the points of x, w and y.
inline constexpr int strided_products[5][3] = {{0, 0, 0}, {1, 1, 1}, {2, 2, 2}, {3, 3, 0}, {4, 3, 2}};
inline constexpr int dilated_products[5][3] = {{0, 0, 0}, {1, 1, 1}, {2, 2, 2}, {1, 3, 3}, {3, 3, 4}};

/// f(point of x, point of w, point of y) for all 125 products with stride 2; the indices combine three axes.
template <class F>
void each_strided_product(const Scheme& scheme, const F& f) {
  const auto& products = scheme.dilated ? dilated_products : strided_products;
  const int x = scheme.along[0], y = scheme.dilated ? 5 : 3;
  for (const auto& h : products)
    for (const auto& w : products)
      for (const auto& d : products)
        f((h[0] * x + w[0]) * x + d[0], (h[1] * 4 + w[1]) * 4 + d[1], (h[2] * y + w[2]) * y + d[2]);
}

/// p with three taps along each axis that has more: the shape of a subkernel.
Conv3dProblem shape_of_subkernel(const Conv3dProblem& p);

/// f(tap of the subkernel, tap of the kernel) for all taps that a subkernel has.
template <class F>
void each_tap(const Conv3dProblem& p, const Scheme& scheme, std::int64_t subkernel, const F& f) {
  const Conv3dProblem q = shape_of_subkernel(p);
  std::int64_t first[3], have[3];
  for (int a = 2; a >= 0; --a) {
    const std::int64_t index = subkernel % scheme.subkernels[a];
    first[a] = 2 * index;
    have[a] = index + 1 < scheme.subkernels[a] ? 2 : q.kernel_size[a];
    subkernel /= scheme.subkernels[a];
  }
  for (std::int64_t h = 0; h < have[0]; ++h)
    for (std::int64_t w = 0; w < have[1]; ++w)
      for (std::int64_t d = 0; d < have[2]; ++d)
        f((h * q.kernel_size[1] + w) * q.kernel_size[2] + d,
          ((first[0] + h) * p.kernel_size[1] + first[1] + w) * p.kernel_size[2] + first[2] + d);
}

/// The transforms of the scheme's tiles.
template <class T>
const TileTransforms<T>& transforms_of(const WinogradTable<T>& table, const Scheme& scheme) {
  return scheme.dilated ? table.dilated : scheme.strided ? table.strided : table.of_points(scheme.along);
}

}  // namespace vg::kernels::winograd
