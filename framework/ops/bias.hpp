// A number a channel, added to a volume.
#pragma once

#include "voxgrad/framework/autograd/variable.hpp"

namespace vg {

/// x (..., C) + bias of C entries, (C) or (1, ..., 1, C). Waits for what comes next (framework/autograd/lazy.hpp): an
/// activation or a normalisation takes it in. Throws ValueError for another shape, TypeError for another dtype than
/// x's.
Variable bias_add(const Variable& x, const Variable& bias);

}  // namespace vg
