#pragma once

#include <array>

#include "voxgrad/optim/optimizer.hpp"

namespace vg {

/// See optim/optimizer.hpp for the options of every optimizer.
struct LionOptions {
  Schedule lr = 1e-4;                         ///< the paper uses 3 to 10 times less than for AdamW
  std::array<double, 2> betas = {0.9, 0.99};  ///< each in [0, 1)
  double weight_decay = 0.0;                  ///< decoupled: p *= 1 - lr * weight_decay
  std::optional<double> clip_norm{};
  std::optional<double> clip_value{};
  std::vector<ParamGroup> groups{};

  void fields(Fields& f) {
    f("lr", lr);
    f("betas", betas, from_0_below_1);
    f("weight_decay", weight_decay, finite_from_0);
    common_fields(f, *this);
  }
};

/// Lion (Chen et al. 2023, "Symbolic Discovery of Optimization Algorithms", algorithm 2). g is the clipped gradient;
/// sign(0) = 0:
///   p -= lr * (sign(beta1 * m + (1 - beta1) * g) + weight_decay * p);  m = beta2 * m + (1 - beta2) * g
/// Keeps "exp_avg", which is half of Adam's memory.
class Lion final : public OptimizerWith<LionOptions> {
 public:
  explicit Lion(const States& states, LionOptions options = {});

 private:
  std::vector<SlotSpec> moments() const override { return {{"exp_avg"}}; }
  ParamLoop update_leaf(const LeafUpdate& u) const override;
};

}  // namespace vg
