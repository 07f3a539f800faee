#include "voxgrad/optim/checks.hpp"

#include <fmt/format.h>

#include <cmath>

#include "voxgrad/framework/base/error.hpp"

namespace vg::detail {

void require(bool ok, std::string_view where, std::string_view argument, double value, std::string_view allowed) {
  if (!ok) throw ValueError(fmt::format("[{}] {}: got {}; must be {}", where, argument, value, allowed));
}

void require(bool ok, std::string_view where, std::string_view argument, std::int64_t value, std::string_view allowed) {
  if (!ok) throw ValueError(fmt::format("[{}] {}: got {}; must be {}", where, argument, value, allowed));
}

void require_rate(std::string_view where, std::string_view argument, double value) {
  require(std::isfinite(value) && value >= 0, where, argument, value, "finite and at least 0");
}

void require_decay(std::string_view where, std::string_view argument, double value) {
  require(value >= 0 && value < 1, where, argument, value, "in [0, 1)");
}

void require_betas(std::string_view where, const std::array<double, 2>& betas) {
  require_decay(where, "betas[0]", betas[0]);
  require_decay(where, "betas[1]", betas[1]);
}

void require_positive(std::string_view where, std::string_view argument, double value) {
  require(std::isfinite(value) && value > 0, where, argument, value, "finite and above 0");
}

std::string form(const Tensor& t) { return fmt::format("{} {}", name_of(t.dtype()), t.shape().str()); }

}  // namespace vg::detail
