#include "voxgrad/optim/rules/radam.hpp"

#include <cmath>
#include <utility>

#include "voxgrad/optim/fused.hpp"

namespace vg {

RAdam::RAdam(const States& states, RAdamOptions options) : OptimizerWith("RAdam", states, std::move(options)) {}

ParamLoop RAdam::update_leaf(const LeafUpdate& u) const {
  const double beta1 = u.momentum.value_or(options_.betas[0]), beta2 = options_.betas[1],
               t = static_cast<double>(u.updates);
  const double fade = std::pow(beta2, t), fresh = 1 - fade;
  const double most = 2 / (1 - beta2) - 1, length = most - 2 * t * fade / fresh;  // R and r(t)
  const double lr = u.lr / (1 - std::pow(beta1, t));
  const detail::Decay decay(u, options_.decoupled_weight_decay);
  if (!(length > 5))
    return detail::element_loop<2>(u, decay.l2, [&](auto as) {
      return [means = detail::running_means(as, beta1, beta2), keep = as(decay.keep), size = as(lr)](auto d, auto& p,
                                                                                                     auto& m, auto& v) {
        means(d, m, v);
        p = keep * p - size * m;
      };
    });
  const double rectified =
      lr * (std::sqrt((length - 4) * (length - 2) * most / ((most - 4) * (most - 2) * length)) * std::sqrt(fresh));
  return detail::element_loop<2>(u, decay.l2, [&](auto as) {
    return [means = detail::running_means(as, beta1, beta2), keep = as(decay.keep), size = as(rectified),
            eps = as(options_.eps)](auto d, auto& p, auto& m, auto& v) {
      means(d, m, v);
      p = keep * p - size * m / (std::sqrt(v) + eps);
    };
  });
}

}  // namespace vg
