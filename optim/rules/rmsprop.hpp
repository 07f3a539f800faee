#pragma once

#include "voxgrad/optim/optimizer.hpp"

namespace vg {

/// See optim/optimizer.hpp for the options of every optimizer.
struct RMSPropOptions {
  Schedule lr = 1e-2;
  double alpha = 0.99;        ///< in [0, 1)
  double eps = 1e-8;          ///< added outside the root; at least 0
  double momentum = 0.0;      ///< in [0, 1)
  bool centered = false;      ///< divide by the standard deviation instead of the root mean square
  double weight_decay = 0.0;  ///< L2: added to the gradient
  std::optional<double> clip_norm{};
  std::optional<double> clip_value{};
  std::vector<ParamGroup> groups{};

  void fields(Fields& f) {
    f("lr", lr);
    f("alpha", alpha, from_0_below_1);
    f("eps", eps, finite_from_0);
    f("momentum", momentum, from_0_below_1);
    f("centered", centered);
    f("weight_decay", weight_decay, finite_from_0);
    common_fields(f, *this);
  }
};

/// RMSProp (Hinton 2012), torch.optim.RMSprop. g is the clipped gradient:
///   g += weight_decay * p;  s = alpha * s + (1 - alpha) * g^2;  centered: a += (1 - alpha) * (g - a)
///   d = g / (sqrt(s) + eps);  centered: d = g / (sqrt(max(0, s - a^2)) + eps)
///   p -= lr * d;  with momentum: buf = momentum * buf + d;  p -= lr * buf
/// torch has no max(0, .), so it gives NaN if rounding makes s - a^2 negative. Keeps "square_avg", then "grad_avg" if
/// centered, then "momentum_buffer" with momentum.
class RMSProp final : public OptimizerWith<RMSPropOptions> {
 public:
  explicit RMSProp(const States& states, RMSPropOptions options = {});

 private:
  std::vector<SlotSpec> moments() const override;
  ParamLoop update_leaf(const LeafUpdate& u) const override;
  template <bool centered, bool heavy>
  ParamLoop loop(const LeafUpdate& u) const;
  bool keeps_momentum() const { return options_.momentum != 0 || momentum_is_scheduled(); }
};

}  // namespace vg
