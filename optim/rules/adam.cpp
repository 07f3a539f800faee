#include "voxgrad/optim/rules/adam.hpp"

#include <fmt/format.h>

#include <cmath>

#include "voxgrad/optim/checks.hpp"
#include "voxgrad/optim/fused.hpp"

namespace vg {

namespace detail {

AdamFamily::AdamFamily(std::string kind, const States& states, Common common, std::array<double, 2> betas, double eps,
                       bool decoupled)
    : Optimizer(std::move(kind), states, std::move(common)), betas_(betas), eps_(eps), decoupled_(decoupled) {
  require_betas(this->kind(), betas);
  require_rate(this->kind(), "eps", eps);
}

Attributes AdamFamily::own_settings() const {
  return {{"betas", std::vector<double>(betas_.begin(), betas_.end())}, {"eps", eps_}};
}

ParamLoop AdamFamily::update_leaf(const LeafUpdate& u) const {
  const double beta1 = u.momentum.value_or(betas_[0]), beta2 = betas_[1], t = static_cast<double>(u.updates);
  const double lr = u.lr / (1 - std::pow(beta1, t)), scale = 1 / std::sqrt(1 - std::pow(beta2, t));
  const Decay decay(u, decoupled_);
  return element_loop<2>(u, decay.l2, [&](auto as) {
    return [means = running_means(as, beta1, beta2), keep = as(decay.keep), size = as(lr), root_scale = as(scale),
            eps = as(eps_)](auto d, auto& p, auto& m, auto& v) {
      means(d, m, v);
      p = keep * p - size * m / (std::sqrt(v) * root_scale + eps);
    };
  });
}

}  // namespace detail

Adam::Adam(const States& states, AdamOptions options)
    : AdamFamily("Adam", states, common_of(options), options.betas, options.eps, false) {}

AdamW::AdamW(const States& states, AdamWOptions options)
    : AdamFamily("AdamW", states, common_of(options), options.betas, options.eps, true) {}

}  // namespace vg
