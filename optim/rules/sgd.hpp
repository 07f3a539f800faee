#pragma once

#include "voxgrad/optim/optimizer.hpp"

namespace vg {

/// See optim/optimizer.hpp for the options of every optimizer.
struct SGDOptions {
  Schedule lr = 1e-3;
  double momentum = 0.0;      ///< in [0, 1)
  bool nesterov = false;      ///< needs a momentum
  double weight_decay = 0.0;  ///< L2: added to the gradient
  std::optional<double> clip_norm{};
  std::optional<double> clip_value{};
  std::vector<ParamGroup> groups{};

  void fields(Fields& f) {
    f("lr", lr);
    f("momentum", momentum, from_0_below_1);
    f("nesterov", nesterov);
    f("weight_decay", weight_decay, finite_from_0);
    common_fields(f, *this);
  }
};

/// Stochastic gradient descent, torch.optim.SGD without dampening. g is the clipped gradient:
///   g += weight_decay * p;  buf = momentum * buf + g;  p -= lr * buf
///   nesterov:  p -= lr * (g + momentum * buf)
/// Keeps "momentum_buffer". Without momentum, p -= lr * g and nothing is kept.
class SGD final : public OptimizerWith<SGDOptions> {
 public:
  explicit SGD(const States& states, SGDOptions options = {});

 private:
  std::vector<SlotSpec> moments() const override;
  ParamLoop update_leaf(const LeafUpdate& u) const override;
};

}  // namespace vg
