// A concatenation of channels that has not been computed yet. Internal.
#pragma once

#include <vector>

#include "voxgrad/framework/autograd/variable.hpp"

namespace vg::detail {

/// What `v` will be the concatenation of along its last axis (concat), if it is one and not computed yet; else empty.
std::vector<Variable> lazy_concat(const Variable& v);

}  // namespace vg::detail
