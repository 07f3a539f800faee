#pragma once

#include <array>

#include "voxgrad/optim/optimizer.hpp"

namespace vg {

/// See optim/optimizer.hpp for the options of every optimizer.
struct LAMBOptions {
  Schedule lr = 1e-3;
  std::array<double, 2> betas = {0.9, 0.999};  ///< each in [0, 1)
  double eps = 1e-6;                           ///< added outside the root; at least 0
  double weight_decay = 1e-2;                  ///< added to the direction, so it is inside the trust ratio
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

/// LAMB (You et al. 2020, "Large Batch Optimization for Deep Learning", algorithm 2, with phi(z) = z). t counts this
/// parameter's updates from 1; g is the clipped gradient; |.| is the 2-norm over a leaf:
///   m += (1 - beta1) * (g - m);  v = beta2 * v + (1 - beta2) * g^2
///   d = (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps) + weight_decay * p
///   p -= lr * |p| / |d| * d        (if one of the norms is 0: p -= lr * d)
/// The norms are summed in double, in an order that does not depend on the number of threads. A leaf that starts at 0,
/// such as a bias, takes its first step without the ratio and only small steps afterwards; a group with a larger
/// lr_scale helps. Keeps "exp_avg" and "exp_avg_sq".
class LAMB final : public OptimizerWith<LAMBOptions> {
 public:
  explicit LAMB(const States& states, LAMBOptions options = {});

 private:
  std::vector<SlotSpec> moments() const override { return {{"exp_avg"}, {"exp_avg_sq"}}; }
  ParamLoop update_leaf(const LeafUpdate& u) const override;
  ParamLoop finish_leaf(const LeafUpdate& u, const LeafSums& sums) const override;
};

}  // namespace vg
