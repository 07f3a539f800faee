// The draw of init::Orthogonal, apart from the others because it needs LAPACK.
#pragma once

#include "voxgrad/framework/base/random.hpp"

namespace vg::init {

/// f32 of `shape`: orthonormal rows or columns of the matrix (extent of axis, all others), times scale.
Tensor draw_orthogonal(const random::Key& key, const Shape& shape, float scale, int axis);

}  // namespace vg::init
