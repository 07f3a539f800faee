// Checks of settings. Each error names the argument, the value received and the values allowed.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "voxgrad/framework/base/tensor.hpp"

namespace vg::detail {

/// Throws ValueError "[where] argument: got value; must be allowed" unless ok.
void require(bool ok, std::string_view where, std::string_view argument, double value, std::string_view allowed);
void require(bool ok, std::string_view where, std::string_view argument, std::int64_t value, std::string_view allowed);

/// Requires a finite value of at least 0.
void require_rate(std::string_view where, std::string_view argument, double value);
/// Requires a value in [0, 1), such as the decay rate of a moment.
void require_decay(std::string_view where, std::string_view argument, double value);
/// Requires that each beta is in [0, 1), for Adam and related optimizers.
void require_betas(std::string_view where, const std::array<double, 2>& betas);
/// Requires a finite value above 0.
void require_positive(std::string_view where, std::string_view argument, double value);

/// "f32 (2, 3)", for messages.
std::string form(const Tensor& t);

}  // namespace vg::detail
