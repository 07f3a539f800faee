// Activations as layers for Sequential. They accept any shape. The defaults are those of brainstate's classes.
#pragma once

#include <concepts>
#include <tuple>
#include <utility>

#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/framework/ops/norm.hpp"
#include "voxgrad/layers/layer.hpp"

namespace vg {

/// max(x, 0).
struct ReLU : Module {
  Variable update(Variable x) override { return relu(std::move(x)); }
  fusion::Op fusion_op() const override { return fusion::Op::relu; }
  std::string kind() const override { return "ReLU"; }
};

struct LeakyReLUOptions {
  double negative_slope = 0.01;
  void fields(Fields& f) { f("negative_slope", negative_slope); }
};
/// x, or negative_slope * x where x is below 0.
struct LeakyReLU : LayerWith<LeakyReLUOptions> {
  explicit LeakyReLU(LeakyReLUOptions options = {}) : LayerWith(options) { start(); }
  /// Makes a layer with this negative_slope.
  explicit LeakyReLU(std::floating_point auto negative_slope)
      : LeakyReLU(LeakyReLUOptions{.negative_slope = static_cast<double>(negative_slope)}) {}
  Variable update(Variable x) override { return leaky_relu(std::move(x), options_.negative_slope); }
  double negative_slope() const { return options_.negative_slope; }
  fusion::Op fusion_op() const override { return negative_slope() >= 0 ? fusion::Op::leaky_relu : fusion::Op::none; }
  std::string kind() const override { return "LeakyReLU"; }
};

struct GELUOptions {
  bool approximate = false;  ///< by tanh; otherwise by erf
  void fields(Fields& f) { f("approximate", approximate); }
};
/// x * Phi(x), where Phi is the normal distribution function.
struct GELU : LayerWith<GELUOptions> {
  explicit GELU(GELUOptions options = {}) : LayerWith(options) { start(); }
  Variable update(Variable x) override { return gelu(std::move(x), options_.approximate); }
  std::string kind() const override { return "GELU"; }
};

struct ELUOptions {
  double alpha = 1;  ///< at least 0
  void fields(Fields& f) { f("alpha", alpha, at_least(0)); }
};
/// x, or alpha * (e^x - 1) where x is not positive.
struct ELU : LayerWith<ELUOptions> {
  explicit ELU(ELUOptions options = {}) : LayerWith(options) { start(); }
  /// Makes a layer with this alpha.
  explicit ELU(std::floating_point auto alpha) : ELU(ELUOptions{.alpha = static_cast<double>(alpha)}) {}
  Variable update(Variable x) override { return elu(x, options_.alpha); }
  std::string kind() const override { return "ELU"; }
};

struct SoftplusOptions {
  double beta = 1;        ///< positive
  double threshold = 20;  ///< for beta * x; above it the result is x
  void fields(Fields& f) {
    f("beta", beta, positive);
    f("threshold", threshold);
  }
};
/// log(1 + e^(beta x)) / beta.
struct Softplus : LayerWith<SoftplusOptions> {
  explicit Softplus(SoftplusOptions options = {}) : LayerWith(options) { start(); }
  Variable update(Variable x) override { return softplus(x, options_.beta, options_.threshold); }
  std::string kind() const override { return "Softplus"; }
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
  void fields(Fields& f) { f("axis", axis); }
};
/// e^x / sum(e^x) along an axis. The call throws ValueError for an axis that the input does not have.
struct Softmax : LayerWith<SoftmaxOptions> {
  explicit Softmax(SoftmaxOptions options = {}) : LayerWith(options) { start(); }
  Variable update(Variable x) override { return softmax(x, options_.axis); }
  std::string kind() const override { return "Softmax"; }
};

/// Returns x.
struct Identity : Module {
  Variable update(Variable x) override { return x; }
  std::string kind() const override { return "Identity"; }
};

/// The layers of this header, for load_model (layers/registry/registry_table.cpp).
using Activations = std::tuple<ReLU, LeakyReLU, GELU, ELU, Softplus, SiLU, Sigmoid, Tanh, Softmax, Identity>;

}  // namespace vg
