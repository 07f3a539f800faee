// Pooling and resampling over the three spatial axes of channels-last Variables (B, H, W, D, C).
#pragma once

#include "framework/ops/conv3d.hpp"

namespace vg {

struct Pool3dArgs {
  Triple kernel_size{2, 2, 2};
  Triple stride{2, 2, 2};
  std::array<std::pair<std::int64_t, std::int64_t>, 3> padding{};  ///< 0 <= pad < kernel_size
};
/// Padding counts as -infinity; equal maxima: the first in row-major order gets the gradient.
Variable max_pool3d(const Variable& x, const Pool3dArgs& args);
/// Padding is not counted in the average, as brainstate does it.
Variable avg_pool3d(const Variable& x, const Pool3dArgs& args);
/// Mean over the three spatial axes: (B, H, W, D, C) -> (B, C).
Variable global_avg_pool3d(const Variable& x);
/// Each voxel repeated `scale` times an axis.
Variable upsample_nearest3d(const Variable& x, const Triple& scale);

}  // namespace vg
