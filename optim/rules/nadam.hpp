#pragma once

#include <array>

#include "voxgrad/optim/optimizer.hpp"

namespace vg {

/// See optim/optimizer.hpp for the options of every optimizer.
struct NAdamOptions {
  Schedule lr = 2e-3;
  std::array<double, 2> betas = {0.9, 0.999};  ///< each in [0, 1)
  double eps = 1e-8;                           ///< added outside the root; at least 0
  double momentum_decay = 4e-3;                ///< psi in the formula below; at least 0
  double weight_decay = 0.0;                   ///< L2: added to the gradient, unless
  bool decoupled_weight_decay = false;         ///< this is true: p *= 1 - lr * weight_decay, as in AdamW
  std::optional<double> clip_norm{};
  std::optional<double> clip_value{};
  std::vector<ParamGroup> groups{};

  void fields(Fields& f) {
    f("lr", lr);
    f("betas", betas, from_0_below_1);
    f("eps", eps, finite_from_0);
    f("momentum_decay", momentum_decay, finite_from_0);
    f("weight_decay", weight_decay, finite_from_0);
    f("decoupled_weight_decay", decoupled_weight_decay);
    common_fields(f, *this);
  }
};

/// NAdam, Adam with Nesterov's momentum (Dozat 2016), torch.optim.NAdam. t counts this parameter's updates from 1; g is
/// the clipped gradient; mu(t) = beta1 * (1 - 0.96^(t * psi) / 2); c is the product of mu(1) ... mu(t):
///   g += weight_decay * p;  m += (1 - beta1) * (g - m);  v = beta2 * v + (1 - beta2) * g^2
///   d = (1 - mu(t)) / (1 - c) * g + mu(t + 1) / (1 - c * mu(t + 1)) * m
///   p -= lr * d / (sqrt(v / (1 - beta2^t)) + eps)
/// Keeps "exp_avg", "exp_avg_sq" and the number "mu_product", which is c: a schedule may change beta1 between steps.
class NAdam final : public OptimizerWith<NAdamOptions> {
 public:
  explicit NAdam(const States& states, NAdamOptions options = {});

 private:
  std::vector<SlotSpec> moments() const override { return {{"exp_avg"}, {"exp_avg_sq"}}; }
  std::vector<SlotSpec> scalars() const override { return {{"mu_product", 1.0}}; }
  ParamLoop update_leaf(const LeafUpdate& u) const override;
};

}  // namespace vg
