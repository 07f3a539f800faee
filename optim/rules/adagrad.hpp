#pragma once

#include "voxgrad/optim/optimizer.hpp"

namespace vg {

/// See optim/optimizer.hpp for the options of every optimizer.
struct AdagradOptions {
  Schedule lr = 1e-2;                      ///< must not set a momentum
  double lr_decay = 0.0;                   ///< at least 0
  double initial_accumulator_value = 0.0;  ///< the initial s; at least 0
  double eps = 1e-10;                      ///< added outside the root; at least 0
  double weight_decay = 0.0;               ///< L2: added to the gradient
  std::optional<double> clip_norm{};
  std::optional<double> clip_value{};
  std::vector<ParamGroup> groups{};

  void fields(Fields& f) {
    f("lr", lr);
    f("lr_decay", lr_decay, finite_from_0);
    f("initial_accumulator_value", initial_accumulator_value, finite_from_0);
    f("eps", eps, finite_from_0);
    f("weight_decay", weight_decay, finite_from_0);
    common_fields(f, *this);
  }
};

/// Adagrad (Duchi, Hazan and Singer 2011), torch.optim.Adagrad. t counts this parameter's updates from 1; g is the
/// clipped gradient:
///   g += weight_decay * p;  s += g^2
///   p -= lr / (1 + (t - 1) * lr_decay) * g / (sqrt(s) + eps)
/// Keeps "sum".
class Adagrad final : public OptimizerWith<AdagradOptions> {
 public:
  explicit Adagrad(const States& states, AdagradOptions options = {});

 private:
  std::vector<SlotSpec> moments() const override { return {{"sum", options_.initial_accumulator_value}}; }
  ParamLoop update_leaf(const LeafUpdate& u) const override;
};

}  // namespace vg
