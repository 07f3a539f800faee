#include "voxgrad/optim/rules/adamax.hpp"

#include <cmath>

#include "voxgrad/optim/checks.hpp"
#include "voxgrad/optim/fused.hpp"

namespace vg {

Adamax::Adamax(const States& states, AdamaxOptions options)
    : Optimizer("Adamax", states, common_of(options)), betas_(options.betas), eps_(options.eps) {
  detail::require_betas(kind(), betas_);
  detail::require_rate(kind(), "eps", eps_);
}

Attributes Adamax::own_settings() const {
  return {{"betas", std::vector<double>(betas_.begin(), betas_.end())}, {"eps", eps_}};
}

ParamLoop Adamax::update_leaf(const LeafUpdate& u) const {
  const double beta1 = u.momentum.value_or(betas_[0]);
  const double lr = u.lr / (1 - std::pow(beta1, static_cast<double>(u.updates)));
  return detail::element_loop<2>(u, u.weight_decay, [&](auto as) {
    return [new1 = as(1 - beta1), beta2 = as(betas_[1]), size = as(lr), eps = as(eps_)](auto d, auto& p, auto& m,
                                                                                        auto& most) {
      m += new1 * (d - m);
      const auto faded = beta2 * most, now = std::abs(d) + eps;
      most = faded > now ? faded : now;
      p -= size * m / most;
    };
  });
}

}  // namespace vg
