// Activations with parameters or constants: PReLU, ELU and Softplus, as in PyTorch.
#pragma once

#include <concepts>

#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/layers/layer.hpp"

namespace vg {

struct PReLUOptions {
  bool per_channel = false;  ///< one slope per channel, which needs in_size (or Sequential); otherwise a single slope
  double initial = 0.25;     ///< the initial value of every slope
  Size in_size{};            ///< any rank; the last extent is the channels
  std::string name{};
};

/// x, or slope * x where x is not positive. The slopes are learned. Any number of axes may precede in_size.
class PReLU : public Layer {
 public:
  explicit PReLU(PReLUOptions options = {});
  ParamState weight;  ///< leaf "slope", (1,) or (C,)

  Variable update(Variable x) override;
  void visit(Visitor& v) override { v("weight", weight); }
  void build(const Size& in_size) override;
  std::string kind() const override { return "PReLU"; }
  Attributes options() const override;

 private:
  bool per_channel_;
  double initial_;
};

struct ELUOptions {
  double alpha = 1;  ///< at least 0
};
/// x, or alpha * (e^x - 1) where x is not positive.
class ELU : public Module {
 public:
  explicit ELU(ELUOptions options = {});
  /// Makes a layer with this alpha.
  explicit ELU(std::floating_point auto alpha) : ELU(ELUOptions{.alpha = static_cast<double>(alpha)}) {}
  Variable update(Variable x) override { return elu(x, options_.alpha); }
  std::string kind() const override { return "ELU"; }
  Attributes options() const override { return {{"alpha", options_.alpha}}; }

 private:
  ELUOptions options_;
};

struct SoftplusOptions {
  double beta = 1;        ///< positive
  double threshold = 20;  ///< for beta * x; above it the result is x
};
/// log(1 + e^(beta x)) / beta.
class Softplus : public Module {
 public:
  explicit Softplus(SoftplusOptions options = {});
  Variable update(Variable x) override { return softplus(x, options_.beta, options_.threshold); }
  std::string kind() const override { return "Softplus"; }
  Attributes options() const override { return {{"beta", options_.beta}, {"threshold", options_.threshold}}; }

 private:
  SoftplusOptions options_;
};

}  // namespace vg
