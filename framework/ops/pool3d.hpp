// Pooling and resampling over the three spatial axes of channels-last Variables (B, H, W, D, C).
#pragma once

#include "voxgrad/framework/ops/conv3d.hpp"

namespace vg {

struct Pool3dArgs {
  Triple kernel_size{2, 2, 2};
  Triple stride{2, 2, 2};
  std::array<std::pair<std::int64_t, std::int64_t>, 3> padding{};  ///< 0 <= pad < kernel_size
};
/// Padding counts as -infinity; equal maxima: the first in row-major order gets the gradient. Of a sum with a number a
/// channel that nobody else can ask for (a convolution's bias) the volume is pooled and the maxima are summed, which
/// gives the same values; of voxels that the sum rounds to the same value the largest then gets the gradient.
Variable max_pool3d(Variable x, const Pool3dArgs& args);
/// Padding is not counted in the average, as brainstate does it.
Variable avg_pool3d(const Variable& x, const Pool3dArgs& args);
/// Mean over the three spatial axes: (B, H, W, D, C) -> (B, C).
Variable global_avg_pool3d(const Variable& x);
/// Each voxel repeated `scale` times an axis.
Variable upsample_nearest3d(const Variable& x, const Triple& scale);
/// Linear interpolation along H, W and D to the spatial extents `size`: torch.nn.Upsample's mode "trilinear". Without
/// align_corners output o stands at (o + 0.5) * in / out - 0.5 (not below 0), with it at o * (in - 1) / (out - 1).
/// Throws ValueError for a size below 1.
Variable upsample_trilinear3d(const Variable& x, const Triple& size, bool align_corners = false);
/// The same to floor(in * factor) per axis, output o at (o + 0.5) / factor - 0.5: PyTorch's scale_factor, for any
/// positive numbers. As there, an axis that keeps its extent is copied, whatever the factor. Throws ValueError for a
/// factor that is not positive or leaves no voxel.
Variable rescale_trilinear3d(const Variable& x, const std::array<double, 3>& factor, bool align_corners = false);
/// The mean of each of `size` windows an axis, floor(o * in / out) to ceil((o + 1) * in / out), as
/// torch.nn.AdaptiveAvgPool3d: windows overlap where the extents do not divide, and repeat where size is larger. Throws
/// ValueError for a size below 1.
Variable adaptive_avg_pool3d(const Variable& x, const Triple& size);
/// The largest value of the same windows; the first of equal ones gets the gradient, NaN wins.
Variable adaptive_max_pool3d(const Variable& x, const Triple& size);

}  // namespace vg
