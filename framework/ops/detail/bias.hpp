// A volume plus a number a channel that has not been computed yet. Internal.
#pragma once

#include <optional>

#include "framework/kernels/activation.hpp"
#include "framework/variable.hpp"

namespace vg::detail {

struct PendingBias {
  Variable x, bias;
};

/// What `v` will be the sum of (bias_add), if it is one and not computed yet.
std::optional<PendingBias> pending_bias(const Variable& v);

/// g times the activation's slope where its result was y. The slope is constant almost everywhere, so it is a constant
/// of the graph.
Variable through_activation(const kernels::Activation& activation, const Tensor& y, const Variable& g);

}  // namespace vg::detail
