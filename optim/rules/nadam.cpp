#include "voxgrad/optim/rules/nadam.hpp"

#include <cmath>

#include "voxgrad/optim/checks.hpp"
#include "voxgrad/optim/fused.hpp"

namespace vg {

NAdam::NAdam(const States& states, NAdamOptions options)
    : Optimizer("NAdam", states, common_of(options)),
      betas_(options.betas),
      eps_(options.eps),
      momentum_decay_(options.momentum_decay),
      decoupled_(options.decoupled_weight_decay) {
  detail::require_betas(kind(), betas_);
  detail::require_rate(kind(), "eps", eps_);
  detail::require_rate(kind(), "momentum_decay", momentum_decay_);
}

Attributes NAdam::own_settings() const {
  return {{"betas", std::vector<double>(betas_.begin(), betas_.end())},
          {"eps", eps_},
          {"momentum_decay", momentum_decay_},
          {"decoupled_weight_decay", decoupled_}};
}

ParamLoop NAdam::update_leaf(const LeafUpdate& u) const {
  const double beta1 = u.momentum.value_or(betas_[0]), beta2 = betas_[1], t = static_cast<double>(u.updates);
  const auto mu_at = [&](double when) { return beta1 * (1 - 0.5 * std::pow(0.96, when * momentum_decay_)); };
  const double mu = mu_at(t), next = mu_at(t + 1), product = u.scalars[0] *= mu;
  const double for_g = u.lr * (1 - mu) / (1 - product), for_m = u.lr * next / (1 - product * next);
  const double scale = 1 / std::sqrt(1 - std::pow(beta2, t));
  const detail::Decay decay(u, decoupled_);
  return detail::element_loop<2>(u, decay.l2, [&](auto as) {
    return [means = detail::running_means(as, beta1, beta2), keep = as(decay.keep), of_g = as(for_g), of_m = as(for_m),
            root_scale = as(scale), eps = as(eps_)](auto d, auto& p, auto& m, auto& v) {
      means(d, m, v);
      p = keep * p - (of_g * d + of_m * m) / (std::sqrt(v) * root_scale + eps);
    };
  });
}

}  // namespace vg
