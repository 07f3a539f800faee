// The draw of init::Orthogonal. It is separate from the others because it needs LAPACK.
#pragma once

#include "voxgrad/framework/base/random.hpp"

namespace vg::init {

/// An f32 tensor of `shape`: orthonormal rows or columns of the matrix (extent of axis, all others), times scale.
Tensor draw_orthogonal(const random::Key& key, const Shape& shape, float scale, int axis);

}  // namespace vg::init
