#include "voxgrad/optim/rules/adagrad.hpp"

#include <fmt/format.h>

#include <cmath>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/optim/checks.hpp"
#include "voxgrad/optim/fused.hpp"

namespace vg {

Adagrad::Adagrad(const States& states, AdagradOptions options)
    : Optimizer("Adagrad", states, common_of(options)),
      lr_decay_(options.lr_decay),
      initial_accumulator_value_(options.initial_accumulator_value),
      eps_(options.eps) {
  detail::require_rate(kind(), "lr_decay", lr_decay_);
  detail::require_rate(kind(), "initial_accumulator_value", initial_accumulator_value_);
  detail::require_rate(kind(), "eps", eps_);
  if (momentum_is_scheduled())
    throw ValueError(
        "[Adagrad] lr: got a schedule that moves the momentum; must be one that does not (OneCycle: cycle_momentum = "
        "false), because Adagrad has none");
}

Attributes Adagrad::own_settings() const {
  return {{"lr_decay", lr_decay_}, {"initial_accumulator_value", initial_accumulator_value_}, {"eps", eps_}};
}

ParamLoop Adagrad::update_leaf(const LeafUpdate& u) const {
  const double lr = u.lr / (1 + static_cast<double>(u.updates - 1) * lr_decay_);
  return detail::element_loop<1>(u, u.weight_decay, [&](auto as) {
    return [size = as(lr), eps = as(eps_)](auto d, auto& p, auto& sum) {
      sum += d * d;
      p -= size * d / (std::sqrt(sum) + eps);
    };
  });
}

}  // namespace vg
