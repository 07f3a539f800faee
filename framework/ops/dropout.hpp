// Dropout.
#pragma once

#include "framework/random.hpp"
#include "framework/variable.hpp"

namespace vg {

/// Keeps each element with probability `keep`, scaled by 1 / keep, else 0. The mask is counter-based: element i depends
/// on the key and i only. Throws ValueError unless 0 < keep <= 1.
Variable dropout(const Variable& x, double keep, const random::Key& key);

}  // namespace vg
