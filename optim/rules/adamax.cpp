#include "voxgrad/optim/rules/adamax.hpp"

#include <cmath>
#include <utility>

#include "voxgrad/optim/fused.hpp"

namespace vg {

Adamax::Adamax(const States& states, AdamaxOptions options) : OptimizerWith("Adamax", states, std::move(options)) {}

ParamLoop Adamax::update_leaf(const LeafUpdate& u) const {
  const double beta1 = u.momentum.value_or(options_.betas[0]);
  const double lr = u.lr / (1 - std::pow(beta1, static_cast<double>(u.updates)));
  return detail::element_loop<2>(u, u.weight_decay, [&](auto as) {
    return [new1 = as(1 - beta1), beta2 = as(options_.betas[1]), size = as(lr), eps = as(options_.eps)](
               auto d, auto& p, auto& m, auto& most) {
      m += new1 * (d - m);
      const auto faded = beta2 * most, now = std::abs(d) + eps;
      most = faded > now ? faded : now;
      p -= size * m / most;
    };
  });
}

}  // namespace vg
