// Activations as layers for Sequential. They accept any shape. The defaults are those of brainstate's classes.
#pragma once

#include <concepts>
#include <utility>

#include "voxgrad/framework/nn/module.hpp"
#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/framework/ops/norm.hpp"

namespace vg {

/// max(x, 0).
struct ReLU : Module {
  Variable update(Variable x) override { return relu(std::move(x)); }
  fusion::Op fusion_op() const override { return fusion::Op::relu; }
  std::string kind() const override { return "ReLU"; }
};

struct LeakyReLUOptions {
  double negative_slope = 0.01;
};
/// x, or negative_slope * x where x is below 0.
struct LeakyReLU : Module {
  explicit LeakyReLU(LeakyReLUOptions options = {}) : options_(options) {}
  /// Makes a layer with this negative_slope.
  explicit LeakyReLU(std::floating_point auto negative_slope) : options_{static_cast<double>(negative_slope)} {}
  Variable update(Variable x) override { return leaky_relu(std::move(x), options_.negative_slope); }
  double negative_slope() const { return options_.negative_slope; }
  fusion::Op fusion_op() const override { return negative_slope() >= 0 ? fusion::Op::leaky_relu : fusion::Op::none; }
  std::string kind() const override { return "LeakyReLU"; }
  Attributes options() const override { return {{"negative_slope", options_.negative_slope}}; }

 private:
  LeakyReLUOptions options_;
};

struct GELUOptions {
  bool approximate = false;  ///< by tanh; otherwise by erf
};
/// x * Phi(x), where Phi is the normal distribution function.
struct GELU : Module {
  explicit GELU(GELUOptions options = {}) : options_(options) {}
  Variable update(Variable x) override { return gelu(std::move(x), options_.approximate); }
  std::string kind() const override { return "GELU"; }
  Attributes options() const override { return {{"approximate", options_.approximate}}; }

 private:
  GELUOptions options_;
};

/// x * sigmoid(x).
struct SiLU : Module {
  Variable update(Variable x) override { return silu(x); }
  std::string kind() const override { return "SiLU"; }
};

/// 1 / (1 + e^-x).
struct Sigmoid : Module {
  Variable update(Variable x) override { return sigmoid(x); }
  std::string kind() const override { return "Sigmoid"; }
};

struct Tanh : Module {
  Variable update(Variable x) override { return tanh(x); }
  std::string kind() const override { return "Tanh"; }
};

struct SoftmaxOptions {
  int axis = -1;
};
/// e^x / sum(e^x) along an axis. The call throws ValueError for an axis that the input does not have.
struct Softmax : Module {
  explicit Softmax(SoftmaxOptions options = {}) : options_(options) {}
  Variable update(Variable x) override { return softmax(x, options_.axis); }
  std::string kind() const override { return "Softmax"; }
  Attributes options() const override { return {{"axis", std::int64_t{options_.axis}}}; }

 private:
  SoftmaxOptions options_;
};

/// Returns x.
struct Identity : Module {
  Variable update(Variable x) override { return x; }
  std::string kind() const override { return "Identity"; }
};

}  // namespace vg
