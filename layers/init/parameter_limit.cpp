#include "voxgrad/layers/init/parameter_limit.hpp"

#include <limits>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"

namespace vg::detail {

namespace {
constexpr std::int64_t no_limit = std::numeric_limits<std::int64_t>::max();
thread_local std::int64_t limit = no_limit;
thread_local std::int64_t taken = 0;  // counted against the limit; exceeds it by at most the allowance
// A model that is slightly larger than its file (another width, a shared state) is still made, so that the message can
// list the states that do not fit. The allowance is 1 MiB of f32.
constexpr std::int64_t allowance = std::int64_t{1} << 18;
}  // namespace

LimitGuard::LimitGuard(std::int64_t values)
    : limit_before_(std::exchange(limit, values)), taken_before_(std::exchange(taken, 0)) {}
LimitGuard::~LimitGuard() {
  limit = limit_before_;
  taken = taken_before_;
}

void take_from_limit(std::string_view where, std::int64_t values) {
  if (limit == no_limit) return;
  if (values - allowance > limit - taken)
    throw ValueError(
        fmt::format("[{}] parameters: the description needs {} values{}; the file holds {}{}", where, values,
                    taken == 0 ? "" : fmt::format(", {} others before them", taken), limit,
                    taken == 0 ? "" : " (a state that layers share is saved once, and made for each of them)"));
  taken += values;
}

}  // namespace vg::detail
