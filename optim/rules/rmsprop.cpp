#include "voxgrad/optim/rules/rmsprop.hpp"

#include <cmath>
#include <tuple>
#include <utility>

#include "voxgrad/optim/fused.hpp"

namespace vg {

RMSProp::RMSProp(const States& states, RMSPropOptions options) : OptimizerWith("RMSProp", states, std::move(options)) {}

std::vector<SlotSpec> RMSProp::moments() const {
  std::vector<SlotSpec> kept{{"square_avg"}};
  if (options_.centered) kept.push_back({"grad_avg"});
  if (keeps_momentum()) kept.push_back({"momentum_buffer"});
  return kept;
}

template <bool centered, bool heavy>
ParamLoop RMSProp::loop(const LeafUpdate& u) const {
  return detail::element_loop<1 + centered + heavy>(u, u.weight_decay, [&](auto as) {
    return [alpha = as(options_.alpha), fresh = as(1 - options_.alpha), eps = as(options_.eps),
            momentum = as(u.momentum.value_or(options_.momentum)),
            lr = as(u.lr)](auto d, auto& p, auto& square, auto&... others) {
      const auto kept = std::tie(others...);  // first the mean if centered, then the buffer if heavy
      square = alpha * square + fresh * d * d;
      auto spread = square;
      if constexpr (centered) {
        auto& mean = std::get<0>(kept);
        mean += fresh * (d - mean);
        spread -= mean * mean;
        spread = spread < 0 ? 0 : spread;  // negative only by rounding; NaN stays NaN
      }
      auto direction = d / (std::sqrt(spread) + eps);
      if constexpr (heavy) {
        auto& buf = std::get<sizeof...(others) - 1>(kept);
        direction = buf = momentum * buf + direction;
      }
      p -= lr * direction;
    };
  });
}

ParamLoop RMSProp::update_leaf(const LeafUpdate& u) const {
  if (options_.centered) return keeps_momentum() ? loop<true, true>(u) : loop<true, false>(u);
  return keeps_momentum() ? loop<false, true>(u) : loop<false, false>(u);
}

}  // namespace vg
