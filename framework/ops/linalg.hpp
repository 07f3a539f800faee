// Matrix products, computed by OpenBLAS (blas.hpp).
#pragma once

#include "voxgrad/framework/autograd/variable.hpp"

namespace vg {

/// a (..., m, k) @ b (..., k, n) -> (..., m, n). The leading axes are broadcast; both ranks must be at least 2. Throws
/// ValueError when the inner extents differ, TypeError for mixed dtypes.
Variable matmul(const Variable& a, const Variable& b);

}  // namespace vg
