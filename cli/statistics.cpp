#include "cli/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace command {

Statistics statistics(const vg::Tensor& tensor) {
  Statistics s;
  vg::dispatch(tensor.dtype(), [&](auto zero) {
    const auto* v = tensor.data<decltype(zero)>();
    double squares = 0, low = std::numeric_limits<double>::infinity(), high = -low;
    for (std::int64_t i = 0; i < tensor.numel(); ++i) {
      const auto x = static_cast<double>(v[i]);
      if (!std::isfinite(x)) {
        ++(std::isnan(x) ? s.nan : s.inf);
        continue;
      }
      ++s.finite;
      const double before = x - s.mean;  // Welford's sums avoid cancellation if the mean is large
      s.mean += before / static_cast<double>(s.finite);
      squares += before * (x - s.mean);
      low = std::min(low, x);
      high = std::max(high, x);
    }
    if (s.finite == 0) return;
    s.min = low;
    s.max = high;
    s.std = std::sqrt(squares / static_cast<double>(s.finite));
  });
  return s;
}

}  // namespace command
