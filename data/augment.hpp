// Augmentation: pure functions of a tensor and parameters, and versions that draw the parameters from a key. The same
// key gives the same result, whatever was drawn before and however many threads run. Tensors are (H, W, D) or (H, W, D,
// C); geometry takes any dtype and acts on axes H, W, D as 0, 1, 2; intensities take f32 and f64.
//
// The random versions take a Sample and give x and y the same geometry. A y without space (undefined, or of rank below
// 3) is passed on; otherwise ValueError unless its H, W, D are those of x. One transform may chain several, each with a
// key of its own:
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

/// What comes in where a shift leaves nothing.
enum class Edge : std::uint8_t {
  zero,
  wrap  ///< what left at the other end: numpy's roll
};

/// out(i, j, k) = t(i - offset[0], j - offset[1], k - offset[2]).
Tensor shift(const Tensor& t, const Triple& offset, Edge edge = Edge::zero);
/// Reverses an axis of 0, 1, 2 (negative counts from the third): a mirror image.
Tensor flip(const Tensor& t, int axis);
/// Turns `times` x 90 degrees (negative: the other way) in a plane, from its first axis towards its second: numpy's
/// rot90. Odd turns exchange the two extents. Throws ValueError when the plane's axes are the same.
Tensor rotate90(const Tensor& t, int times, const std::array<int, 2>& plane = {0, 1});
/// x * scale + offset. Throws TypeError for i32.
Tensor intensity(const Tensor& x, double scale, double offset);
/// x + standard_deviation * a standard normal number for each element. Throws TypeError for i32, ValueError for a
/// negative deviation.
Tensor noise(const random::Key& key, const Tensor& x, double standard_deviation);

/// A shift by up to `most` voxels either way along each axis, all equally likely.
Sample random_shift(const random::Key& key, const Sample& sample, std::int64_t most, Edge edge = Edge::zero);
/// Flips each of `axes` with a probability in [0, 1].
Sample random_flip(const random::Key& key, const Sample& sample, const std::vector<int>& axes,
                   double probability = 0.5);
/// A turn by 0, 90, 180 or 270 degrees; by 0 or 180 where the plane's extents differ, so that the shape stays.
Sample random_rotate90(const random::Key& key, const Sample& sample, const std::array<int, 2>& plane = {0, 1});
/// x * (1 + scale_deviation * n0) + offset_deviation * n1 with two standard normal numbers; y stays.
Sample random_intensity(const random::Key& key, const Sample& sample, double scale_deviation, double offset_deviation);
/// noise() on x; y stays.
Sample random_noise(const random::Key& key, const Sample& sample, double standard_deviation);

}  // namespace vg::augment
