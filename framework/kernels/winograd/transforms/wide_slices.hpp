// The slices of wide tiles (complex-inl.hpp): three pairs of points along H times three along W. The last pair of each
// axis is complex. The drivers and the transforms share these constants. Internal.
#pragma once

namespace vg::kernels::wide {

constexpr int slices = 9;
constexpr int slices_per_stage = 3;  ///< slices of one pair along H

constexpr bool is_complex_along_h(int slice) { return slice >= 6; }
constexpr bool is_complex_along_w(int slice) { return slice % 3 == 2; }

/// Points of a slice that is real along H and W, and of one that is complex along H, W or both.
constexpr int real_points = 4 * 7, complex_points = 6 * 6;
constexpr int points_of(int slice) {
  return is_complex_along_h(slice) || is_complex_along_w(slice) ? complex_points : real_points;
}
/// Number of sums that fused products store for a slice with so many points.
constexpr int sums_of(int points) { return points == real_points ? 16 : 24; }
/// Numbers per slice of a gradient before the transform along D, which the fused products of grad_weight do.
constexpr int numbers = 16;

}  // namespace vg::kernels::wide
