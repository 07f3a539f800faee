#include "voxgrad/framework/base/finite.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include <fmt/format.h>

namespace vg {

namespace {

// x * 0 is 0 for a finite x and NaN otherwise, so the sums of these products over a block need no branch per element.
template <class T>
bool all_finite(const T* x, std::int64_t n) {
  T sum[8] = {};
  std::int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    for (int lane = 0; lane < 8; ++lane) sum[lane] += x[i + lane] * T{0};
  for (; i < n; ++i) sum[0] += x[i] * T{0};
  for (int lane = 1; lane < 8; ++lane) sum[0] += sum[lane];
  return sum[0] == 0;
}

}  // namespace

std::optional<std::int64_t> find_non_finite(const Tensor& t, bool infinities) {
  if (!t.defined() || !is_float(t.dtype())) return {};
  return dispatch_float("find_non_finite", t.dtype(), [&](auto zero) -> std::optional<std::int64_t> {
    using T = decltype(zero);
    constexpr std::int64_t block = 4096;
    const T* x = t.data<T>();
    for (std::int64_t from = 0; from < t.numel(); from += block) {
      const std::int64_t n = std::min(block, t.numel() - from);
      if (all_finite(x + from, n)) continue;
      for (std::int64_t i = from; i < from + n; ++i)
        if (infinities ? !std::isfinite(x[i]) : std::isnan(x[i])) return i;
    }
    return {};
  });
}

std::string describe_non_finite(const Tensor& t, std::int64_t at) {
  std::vector<std::int64_t> index(static_cast<std::size_t>(t.rank()));
  std::int64_t rest = at;
  for (int axis = t.rank() - 1; axis >= 0; --axis) {
    index[static_cast<std::size_t>(axis)] = rest % t.dim(axis);
    rest /= t.dim(axis);
  }
  const double v = t.value_at(at);
  return fmt::format("{} at ({}) of {}",
                     std::isnan(v) ? "nan"
                     : v > 0       ? "inf"
                                   : "-inf",
                     fmt::join(index, ", "), form(t));
}

}  // namespace vg
