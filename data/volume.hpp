// Volume: a 3-D image with its position in the world, and geometric functions that keep the two consistent.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "voxgrad/framework/base/tensor.hpp"

namespace vg {

/// A row-major 4x4 matrix from voxel indices (i, j, k, 1) to millimetres (x, y, z, 1).
using Affine = std::array<double, 16>;

inline constexpr Affine identity_affine = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1};

/// `data` is (H, W, D) or (H, W, D, C). The centre of voxel (i, j, k) is at affine * (i, j, k, 1) mm. In volumes from
/// NIfTI, the axes are (x, y, z) as stored, in nibabel's order, and the world is RAS+.
struct Volume {
  Tensor data;
  Affine affine = identity_affine;

  /// (H, W, D). Throws ValueError unless data has rank 3 or 4.
  Triple extent() const;
  /// The number of channels; 1 for rank 3.
  std::int64_t channels() const;
  /// The voxel size in mm along H, W, D: the lengths of the affine's columns.
  std::array<double, 3> spacing() const;
  /// The position of the centre of voxel (i, j, k), in mm. The indices need not be whole.
  std::array<double, 3> world(double i, double j, double k) const;
};

/// The functions below do not change their argument, and the voxels that they keep stay at their world positions. All
/// throw ValueError for data that is not of rank 3 or 4 and for sizes that are not allowed.

/// The mean of each factor[0] x factor[1] x factor[2] block, summed in double. The extents are first cropped (at the
/// end) to multiples of the factors; the new voxel centres are the centres of the blocks. i32 data gives f32. Factors
/// are in [1, extent].
Volume block_mean(const Volume& volume, const Triple& factor);
/// The same grid as block_mean, but with the centre voxel of each block, index factor / 2 (for an even factor the upper
/// of the two middle voxels). It is for labels, which have no mean. Keeps the dtype.
Volume block_center(const Volume& volume, const Triple& factor);
/// The voxels [begin, begin + extent) of each axis, which must be inside the volume.
Volume crop(const Volume& volume, const Triple& begin, const Triple& extent);
/// Adds `before` and `after` voxels at the ends of each axis, filled with `value`.
Volume pad(const Volume& volume, const Triple& before, const Triple& after, double value = 0);
/// Pads at the end of each axis, with `value`, to the next multiple of `multiple`.
Volume pad_to_multiple(const Volume& volume, const Triple& multiple, double value = 0);
/// Mirrors axis 0, 1 or 2 (negative axes count from the end). The affine changes so that each value stays at its
/// position in the world; to mirror the world (left hemisphere onto the right), reset the affine afterwards.
Volume flip(const Volume& volume, int axis);

}  // namespace vg
