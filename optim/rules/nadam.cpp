#include "voxgrad/optim/rules/nadam.hpp"

#include <cmath>
#include <utility>

#include "voxgrad/optim/fused.hpp"

namespace vg {

NAdam::NAdam(const States& states, NAdamOptions options) : OptimizerWith("NAdam", states, std::move(options)) {}

ParamLoop NAdam::update_leaf(const LeafUpdate& u) const {
  const double beta1 = u.momentum.value_or(options_.betas[0]), beta2 = options_.betas[1],
               t = static_cast<double>(u.updates);
  const auto mu_at = [&](double when) { return beta1 * (1 - 0.5 * std::pow(0.96, when * options_.momentum_decay)); };
  const double mu = mu_at(t), next = mu_at(t + 1), product = u.scalars[0] *= mu;
  const double for_g = u.lr * (1 - mu) / (1 - product), for_m = u.lr * next / (1 - product * next);
  const double scale = 1 / std::sqrt(1 - std::pow(beta2, t));
  const detail::Decay decay(u, options_.decoupled_weight_decay);
  return detail::element_loop<2>(u, decay.l2, [&](auto as) {
    return [means = detail::running_means(as, beta1, beta2), keep = as(decay.keep), of_g = as(for_g), of_m = as(for_m),
            root_scale = as(scale), eps = as(options_.eps)](auto d, auto& p, auto& m, auto& v) {
      means(d, m, v);
      p = keep * p - (of_g * d + of_m * m) / (std::sqrt(v) * root_scale + eps);
    };
  });
}

}  // namespace vg
