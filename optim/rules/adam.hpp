#pragma once

#include <array>

#include "voxgrad/optim/optimizer.hpp"

namespace vg {

/// See optim/optimizer.hpp for the options of every optimizer.
struct AdamOptions {
  Schedule lr = 1e-3;
  std::array<double, 2> betas = {0.9, 0.999};  ///< each in [0, 1)
  double eps = 1e-8;                           ///< added outside the root; at least 0
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

struct AdamWOptions {
  Schedule lr = 1e-3;
  std::array<double, 2> betas = {0.9, 0.999};  ///< each in [0, 1)
  double eps = 1e-8;                           ///< added outside the root; at least 0
  double weight_decay = 1e-2;                  ///< decoupled: p *= 1 - lr * weight_decay
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

/// Adam (Kingma and Ba 2015), torch.optim.Adam without amsgrad. t counts this parameter's updates from 1; g is the
/// clipped gradient:
///   g += weight_decay * p;  m += (1 - beta1) * (g - m);  v = beta2 * v + (1 - beta2) * g^2
///   p -= lr * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)
/// Keeps "exp_avg" and "exp_avg_sq".
class Adam final : public OptimizerWith<AdamOptions> {
 public:
  explicit Adam(const States& states, AdamOptions options = {});

 private:
  std::vector<SlotSpec> moments() const override { return {{"exp_avg"}, {"exp_avg_sq"}}; }
  ParamLoop update_leaf(const LeafUpdate& u) const override;
};

/// Adam with decoupled weight decay (Loshchilov and Hutter 2019), torch.optim.AdamW. g += weight_decay * p becomes
///   p -= lr * weight_decay * p
class AdamW final : public OptimizerWith<AdamWOptions> {
 public:
  explicit AdamW(const States& states, AdamWOptions options = {});

 private:
  std::vector<SlotSpec> moments() const override { return {{"exp_avg"}, {"exp_avg_sq"}}; }
  ParamLoop update_leaf(const LeafUpdate& u) const override;
};

}  // namespace vg
