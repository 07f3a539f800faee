#pragma once

#include <array>

#include "voxgrad/optim/optimizer.hpp"

namespace vg {

/// See optim/optimizer.hpp for the options of every optimizer.
struct RAdamOptions {
  Schedule lr = 1e-3;
  std::array<double, 2> betas = {0.9, 0.999};  ///< each in [0, 1)
  double eps = 1e-8;                           ///< added outside the root; at least 0
  double weight_decay = 0.0;                   ///< L2: added to the gradient, unless
  bool decoupled_weight_decay = false;         ///< this is true: p *= 1 - lr * weight_decay, as in AdamW
  std::optional<double> clip_norm{};
  std::optional<double> clip_value{};
  std::vector<ParamGroup> groups{};

  void fields(Fields& f) {
    f("lr", lr);
    f("betas", betas, from_0_below_1);
    f("eps", eps, finite_from_0);
    f("weight_decay", weight_decay, finite_from_0);
    f("decoupled_weight_decay", decoupled_weight_decay);
    common_fields(f, *this);
  }
};

/// RAdam, Adam with a rectified variance (Liu et al. 2020), torch.optim.RAdam. t counts this parameter's updates from
/// 1; g is the clipped gradient; r(t) = R - 2 t beta2^t / (1 - beta2^t); R = 2 / (1 - beta2) - 1:
///   g += weight_decay * p;  m += (1 - beta1) * (g - m);  v = beta2 * v + (1 - beta2) * g^2
///   r(t) > 5:  p -= lr * m / (1 - beta1^t) * sqrt((r - 4) (r - 2) R / ((R - 4) (R - 2) r))
///                     * sqrt(1 - beta2^t) / (sqrt(v) + eps)
///   else (the first steps, five for beta2 = 0.999):  p -= lr * m / (1 - beta1^t)
/// Keeps "exp_avg" and "exp_avg_sq".
class RAdam final : public OptimizerWith<RAdamOptions> {
 public:
  explicit RAdam(const States& states, RAdamOptions options = {});

 private:
  std::vector<SlotSpec> moments() const override { return {{"exp_avg"}, {"exp_avg_sq"}}; }
  ParamLoop update_leaf(const LeafUpdate& u) const override;
};

}  // namespace vg
