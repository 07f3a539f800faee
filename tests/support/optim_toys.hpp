// A small model without layers for the tests of optimizers, and one optimizer of each kind.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "voxgrad/optim/optim.hpp"

namespace vg::test {

/// A ParamState with one leaf.
ParamState param(const std::string& leaf, const Tensor& value);

/// Two states, "body.0.weight" with two leaves and "head.weight" with one, with deterministic values and gradients.
struct Toy {
  ParamState body, head;
  States states;

  /// `rows` multiplies the rows of the body's 3 x 4 weights.
  explicit Toy(DType dtype = f64, std::int64_t rows = 1);
  /// Deterministic numbers that are exact in f32.
  static Tensor numbers(const Shape& shape, int seed, DType dtype);
  void set_grads(int step);
  Tensor grad(const std::string& path, const std::string& leaf, int step) const;
  StateGrads grads(int step) const;
  /// Copies the values of the other.
  void copy(const Toy& other);
  /// Whether all bits are the same.
  bool equals(const Toy& other) const;
};

using Make = std::function<std::unique_ptr<Optimizer>(const States&)>;

/// One optimizer of each kind for the states of a Toy; every option is used at least once.
std::vector<std::pair<std::string, Make>> optimizer_kinds();

}  // namespace vg::test
