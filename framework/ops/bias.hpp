// Adds one value per channel to a volume.
#pragma once

#include "voxgrad/framework/autograd/variable.hpp"

namespace vg {

/// x (..., C) + bias of C entries, of shape (C) or (1, ..., 1, C). The op is lazy (framework/autograd/lazy.hpp), so
/// that an activation or a normalisation can absorb it. Throws ValueError for another shape, TypeError for another
/// dtype than x's.
Variable bias_add(const Variable& x, const Variable& bias);

}  // namespace vg
