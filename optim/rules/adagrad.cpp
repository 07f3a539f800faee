#include "voxgrad/optim/rules/adagrad.hpp"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/optim/fused.hpp"

namespace vg {

Adagrad::Adagrad(const States& states, AdagradOptions options) : OptimizerWith("Adagrad", states, std::move(options)) {
  if (momentum_is_scheduled())
    throw ValueError(
        "[Adagrad] lr: got a schedule that moves the momentum; must be one that does not (OneCycle: cycle_momentum = "
        "false), because Adagrad has none");
}

ParamLoop Adagrad::update_leaf(const LeafUpdate& u) const {
  const double lr = u.lr / (1 + static_cast<double>(u.updates - 1) * options_.lr_decay);
  return detail::element_loop<1>(u, u.weight_decay, [&](auto as) {
    return [size = as(lr), eps = as(options_.eps)](auto d, auto& p, auto& sum) {
      sum += d * d;
      p -= size * d / (std::sqrt(sum) + eps);
    };
  });
}

}  // namespace vg
