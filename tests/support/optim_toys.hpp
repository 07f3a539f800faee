// A small model without layers for the tests of optimizers, and one optimizer of each kind.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "voxgrad/optim/optim.hpp"

namespace vg::test {

/// A ParamState of one leaf.
ParamState param(const std::string& leaf, const Tensor& value);

/// Two states of two leaves and one, "body.0.weight" and "head.weight", with deterministic values and gradients.
struct Toy {
  ParamState body, head;
  States states;

  /// rows times the body's 3 x 4 weights.
  explicit Toy(DType dtype = f64, std::int64_t rows = 1);
  /// Exact in f32.
  static Tensor numbers(const Shape& shape, int seed, DType dtype);
  void set_grads(int step);
  Tensor grad(const std::string& path, const std::string& leaf, int step) const;
  StateGrads grads(int step) const;
  /// Takes the other's values.
  void copy(const Toy& other);
  /// The same bits.
  bool equals(const Toy& other) const;
};

using Make = std::function<std::unique_ptr<Optimizer>(const States&)>;

/// One of each kind for a Toy's states, with every option in use somewhere.
std::vector<std::pair<std::string, Make>> optimizer_kinds();

}  // namespace vg::test
