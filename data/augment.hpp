// Augmentation: pure functions of a tensor and parameters, and versions that draw the parameters from a key. The same
// key gives the same result, independent of earlier draws and of the number of threads. Tensors are (H, W, D) or (H, W,
// D, C). Geometric functions accept any dtype and number the axes H, W, D as 0, 1, 2; intensity functions accept f32
// and f64.
//
// The random versions take a Sample and apply the same geometry to x and y. A y without space (undefined, or of rank
// below 3) is passed on unchanged; otherwise its H, W, D must be those of x, else they throw ValueError. One transform
// may chain several versions, each with its own key:
//   .transform = [](const vg::Sample& s, const vg::random::Key& key) {
//     const auto k = vg::random::split(key, 2);
//     return vg::augment::random_noise(k[1], vg::augment::random_shift(k[0], s, 2), 0.1);
//   }
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "voxgrad/data/dataset.hpp"
#include "voxgrad/data/volume.hpp"
#include "voxgrad/framework/base/random.hpp"

namespace vg::augment {

/// The values that fill the voxels left empty by a shift.
enum class Edge : std::uint8_t {
  zero,
  wrap  ///< voxels that left at the other end, as in numpy's roll
};

/// out(i, j, k) = t(i - offset[0], j - offset[1], k - offset[2]).
Tensor shift(const Tensor& t, const Triple& offset, Edge edge = Edge::zero);
/// Mirrors axis 0, 1 or 2 (negative axes count from the end).
Tensor flip(const Tensor& t, int axis);
/// Rotates by `times` x 90 degrees (negative: in the other direction) in a plane, from its first axis towards its
/// second: numpy's rot90. Odd numbers exchange the two extents. Throws ValueError if the plane's axes are equal.
Tensor rotate90(const Tensor& t, int times, const std::array<int, 2>& plane = {0, 1});
/// x * scale + offset. Throws TypeError for i32.
Tensor intensity(const Tensor& x, double scale, double offset);
/// x + standard_deviation * n, with a standard normal number n per element. Throws TypeError for i32 and ValueError for
/// a negative deviation.
Tensor noise(const random::Key& key, const Tensor& x, double standard_deviation);

/// Shifts by up to `most` voxels in either direction along each axis; all shifts are equally likely.
Sample random_shift(const random::Key& key, const Sample& sample, std::int64_t most, Edge edge = Edge::zero);
/// Flips each of `axes` with a probability in [0, 1].
Sample random_flip(const random::Key& key, const Sample& sample, const std::vector<int>& axes,
                   double probability = 0.5);
/// Rotates by 0, 90, 180 or 270 degrees; only by 0 or 180 if the plane's extents differ, so that the shape stays.
Sample random_rotate90(const random::Key& key, const Sample& sample, const std::array<int, 2>& plane = {0, 1});
/// x * (1 + scale_deviation * n0) + offset_deviation * n1 with two standard normal numbers. y is unchanged.
Sample random_intensity(const random::Key& key, const Sample& sample, double scale_deviation, double offset_deviation);
/// Applies noise() to x. y is unchanged.
Sample random_noise(const random::Key& key, const Sample& sample, double standard_deviation);

}  // namespace vg::augment
