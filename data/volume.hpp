// Volume: a 3-D image with its place in the world, and the geometry that keeps the two together.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "voxgrad/framework/base/tensor.hpp"

namespace vg {

/// A row-major 4x4 matrix from voxel indices (i, j, k, 1) to millimetres (x, y, z, 1).
using Affine = std::array<double, 16>;

inline constexpr Affine identity_affine = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1};

/// `data` is (H, W, D) or (H, W, D, C): element (i, j, k) is the voxel whose centre lies at affine * (i, j, k, 1) mm.
/// From NIfTI the axes are (x, y, z) as stored, in nibabel's order, and the world is RAS+.
struct Volume {
  Tensor data;
  Affine affine = identity_affine;

  /// (H, W, D). Throws ValueError unless data has rank 3 or 4.
  Triple extent() const;
  /// 1 for rank 3.
  std::int64_t channels() const;
  /// Voxel size in mm along H, W, D: the lengths of the affine's columns.
  std::array<double, 3> spacing() const;
  /// Where the centre of voxel (i, j, k) lies, in mm. The indices need not be whole.
  std::array<double, 3> world(double i, double j, double k) const;
};

/// The functions below leave their argument as it is, and keep the world position of what they keep. All throw
/// ValueError for data that is not of rank 3 or 4 and for sizes that are not allowed.

/// The mean of each factor[0] x factor[1] x factor[2] block, summed in double. The extents are first cut to a multiple
/// of the factors (at the end); the new voxel centres are the centres of the blocks. i32 data gives f32. Factors are in
/// [1, extent].
Volume block_mean(const Volume& volume, const Triple& factor);
/// The same grid as block_mean, but each block gives its centre voxel, index factor / 2 (for an even factor the upper
/// of the two in the middle): for labels, which have no mean. Keeps the dtype.
Volume block_center(const Volume& volume, const Triple& factor);
/// The voxels [begin, begin + extent) of each axis, which must lie inside.
Volume crop(const Volume& volume, const Triple& begin, const Triple& extent);
/// `before` and `after` voxels more at each end, filled with `value`.
Volume pad(const Volume& volume, const Triple& before, const Triple& after, double value = 0);
/// Pads at the end, with `value`, to the next multiple of `multiple` along each axis.
Volume pad_to_multiple(const Volume& volume, const Triple& multiple, double value = 0);
/// Reverses an axis: 0, 1 or 2 (negative counts from the third). The affine changes so that each value stays where it
/// was in the world; for a mirrored world (left hemisphere onto the right), reset the affine afterwards.
Volume flip(const Volume& volume, int axis);

}  // namespace vg
