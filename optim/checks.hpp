// Checks of settings: each error names the argument, the value that came and what is allowed.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace vg::detail {

/// Throws ValueError "[where] argument: got value; must be allowed" unless ok.
void require(bool ok, std::string_view where, std::string_view argument, double value, std::string_view allowed);
void require(bool ok, std::string_view where, std::string_view argument, std::int64_t value, std::string_view allowed);

/// Finite and at least 0.
void require_rate(std::string_view where, std::string_view argument, double value);
/// In [0, 1): what decays a moment.
void require_decay(std::string_view where, std::string_view argument, double value);
/// Each in [0, 1): those of Adam and its relatives.
void require_betas(std::string_view where, const std::array<double, 2>& betas);
/// Finite and above 0.
void require_positive(std::string_view where, std::string_view argument, double value);

}  // namespace vg::detail
