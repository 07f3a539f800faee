#include "voxgrad/optim/rules/adam.hpp"

#include <cmath>
#include <utility>

#include "voxgrad/optim/fused.hpp"

namespace vg {

namespace {

ParamLoop adam_loop(const LeafUpdate& u, const std::array<double, 2>& betas, double added, bool decoupled) {
  const double beta1 = u.momentum.value_or(betas[0]), beta2 = betas[1], t = static_cast<double>(u.updates);
  const double lr = u.lr / (1 - std::pow(beta1, t)), scale = 1 / std::sqrt(1 - std::pow(beta2, t));
  const detail::Decay decay(u, decoupled);
  return detail::element_loop<2>(u, decay.l2, [&](auto as) {
    return [means = detail::running_means(as, beta1, beta2), keep = as(decay.keep), size = as(lr),
            root_scale = as(scale), eps = as(added)](auto d, auto& p, auto& m, auto& v) {
      means(d, m, v);
      p = keep * p - size * m / (std::sqrt(v) * root_scale + eps);
    };
  });
}

}  // namespace

Adam::Adam(const States& states, AdamOptions options) : OptimizerWith("Adam", states, std::move(options)) {}
ParamLoop Adam::update_leaf(const LeafUpdate& u) const { return adam_loop(u, options_.betas, options_.eps, false); }

AdamW::AdamW(const States& states, AdamWOptions options) : OptimizerWith("AdamW", states, std::move(options)) {}
ParamLoop AdamW::update_leaf(const LeafUpdate& u) const { return adam_loop(u, options_.betas, options_.eps, true); }

}  // namespace vg
