// What a slice of wide tiles is (complex-inl.hpp): three pairs of points along H by three along W, of which the
// last ones are complex. Numbers that the drivers share with the bodies. Internal.
#pragma once

namespace vg::kernels::wide {

constexpr int slices = 9;
constexpr int slices_per_stage = 3;  ///< slices of one pair along H

constexpr bool is_complex_along_h(int slice) { return slice >= 6; }
constexpr bool is_complex_along_w(int slice) { return slice % 3 == 2; }

/// Points of a slice that is real along both, or not.
constexpr int real_points = 4 * 7, complex_points = 6 * 6;
constexpr int points_of(int slice) {
  return is_complex_along_h(slice) || is_complex_along_w(slice) ? complex_points : real_points;
}
/// What is kept of their products where these are folded.
constexpr int sums_of(int points) { return points == real_points ? 16 : 24; }
/// Of a gradient, where the products make the points along D.
constexpr int numbers = 16;

}  // namespace vg::kernels::wide
