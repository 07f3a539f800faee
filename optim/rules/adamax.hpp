#pragma once

#include <array>

#include "voxgrad/optim/optimizer.hpp"

namespace vg {

/// See optim/optimizer.hpp for the options of every optimizer.
struct AdamaxOptions {
  Schedule lr = 2e-3;
  std::array<double, 2> betas = {0.9, 0.999};  ///< each in [0, 1)
  double eps = 1e-8;                           ///< at least 0; with 0, a parameter with only zero gradients becomes NaN
  double weight_decay = 0.0;                   ///< L2: added to the gradient
  std::optional<double> clip_norm{};
  std::optional<double> clip_value{};
  std::vector<ParamGroup> groups{};

  void fields(Fields& f) {
    f("lr", lr);
    f("betas", betas, from_0_below_1);
    f("eps", eps, finite_from_0);
    f("weight_decay", weight_decay, finite_from_0);
    common_fields(f, *this);
  }
};

/// Adamax, Adam with the infinity norm (Kingma and Ba 2015), torch.optim.Adamax. t counts this parameter's updates from
/// 1; g is the clipped gradient:
///   g += weight_decay * p;  m += (1 - beta1) * (g - m);  u = max(beta2 * u, |g| + eps)
///   p -= lr / (1 - beta1^t) * m / u
/// Keeps "exp_avg" and "exp_inf".
class Adamax final : public OptimizerWith<AdamaxOptions> {
 public:
  explicit Adamax(const States& states, AdamaxOptions options = {});

 private:
  std::vector<SlotSpec> moments() const override { return {{"exp_avg"}, {"exp_inf"}}; }
  ParamLoop update_leaf(const LeafUpdate& u) const override;
};

}  // namespace vg
