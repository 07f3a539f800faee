// Lazy concatenations of channels. Internal.
#pragma once

#include <vector>

#include "voxgrad/framework/autograd/variable.hpp"

namespace vg::detail {

/// The parts of `v`, if `v` is a lazy concatenation along its last axis (concat); else empty.
std::vector<Variable> lazy_concat(const Variable& v);

}  // namespace vg::detail
