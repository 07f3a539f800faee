// Pooling and resampling over the three spatial axes of channels-last Variables (B, H, W, D, C).
#pragma once

#include "voxgrad/framework/ops/conv3d.hpp"

namespace vg {

struct Pool3dArgs {
  Triple kernel_size{2, 2, 2};
  Triple stride{2, 2, 2};
  std::array<std::pair<std::int64_t, std::int64_t>, 3> padding{};  ///< 0 <= pad < kernel_size
};
/// Padding counts as -infinity. The first of equal maxima in row-major order gets the gradient. If x is a lazy sum with
/// one value per channel (a convolution's bias) and its last handle, the pooling comes first and the bias is added to
/// the maxima, which gives the same values. If the sum rounds several voxels to the same value, the largest of them
/// then gets the gradient.
Variable max_pool3d(Variable x, const Pool3dArgs& args);
/// Padding does not count in the average, as in brainstate.
Variable avg_pool3d(const Variable& x, const Pool3dArgs& args);
/// Mean over the three spatial axes: (B, H, W, D, C) -> (B, C).
Variable global_avg_pool3d(const Variable& x);
/// Repeats each voxel `scale` times along each axis.
Variable upsample_nearest3d(const Variable& x, const Triple& scale);
/// Linear interpolation along H, W and D to the spatial extents `size`: torch.nn.Upsample's mode "trilinear". Output o
/// has the input position (o + 0.5) * in / out - 0.5 (at least 0), or, with align_corners, o * (in - 1) / (out - 1).
/// Throws ValueError for a size below 1.
Variable upsample_trilinear3d(const Variable& x, const Triple& size, bool align_corners = false);
/// The same to floor(in * factor) per axis, with output o at (o + 0.5) / factor - 0.5: PyTorch's scale_factor, for any
/// positive factors. As in PyTorch, an axis that keeps its extent is copied for any factor. Throws ValueError for a
/// factor that is not positive or leaves no voxel.
Variable rescale_trilinear3d(const Variable& x, const std::array<double, 3>& factor, bool align_corners = false);
/// The mean of each of `size` windows per axis, floor(o * in / out) to ceil((o + 1) * in / out), as
/// torch.nn.AdaptiveAvgPool3d. Windows overlap if the extents do not divide, and repeat if size is larger. Throws
/// ValueError for a size below 1.
Variable adaptive_avg_pool3d(const Variable& x, const Triple& size);
/// The largest value of each of the same windows. The first of equal maxima gets the gradient; NaN counts as largest.
Variable adaptive_max_pool3d(const Variable& x, const Triple& size);

}  // namespace vg
