// Functional gradients with respect to states and arguments, after brainstate.transform.grad.
//
//   auto step = vg::grad([&](const vg::Args& a) { return vg::cross_entropy(model(a[0]), labels); },
//                        model.parameters());
//   auto [grads, loss, aux] = step({x});
//   optimizer.update(grads.states);
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "voxgrad/framework/nn/state.hpp"

namespace vg {

using Args = std::vector<Variable>;

/// Gradients by path and leaf, in the structure of the States that were passed to grad().
class StateGrads {
 public:
  struct Entry {
    std::string path;
    std::vector<std::pair<std::string, Variable>> leaves;
  };
  std::vector<Entry> entries;
  /// Throws ValueError, naming path and leaf, if there is no such gradient.
  const Variable& at(std::string_view path, std::string_view leaf) const;
};

/// The result of a function to be differentiated: a value, and further Variables that are returned as they are.
struct ValueAux {
  Variable value;
  std::vector<Variable> aux{};
  ValueAux(Variable v) : value(std::move(v)) {}  // NOLINT
  ValueAux(Variable v, std::vector<Variable> a) : value(std::move(v)), aux(std::move(a)) {}
};
using Differentiable = std::function<ValueAux(const Args&)>;

struct GradOptions {
  std::vector<int> argnums{};  ///< arguments to differentiate as well
  bool check_states = true;    ///< if true, a state that f does not use is a ValueError; else its gradient is zeros
  bool create_graph = false;   ///< whether the result can be differentiated again
};

/// In brainstate's order: gradients, value, aux.
struct GradResult {
  struct Grads {
    StateGrads states;
    std::vector<Variable> args;  ///< one per entry of argnums
  } grads;
  Variable value;
  std::vector<Variable> aux;
};

/// A function that returns the gradient of f, whose value must have one element. It throws ValueError for a bad argnum
/// or an unused state.
std::function<GradResult(const Args&)> grad(Differentiable f, States states, GradOptions options = {});
/// The same for a value of any shape, with a cotangent of ones.
std::function<GradResult(const Args&)> vector_grad(Differentiable f, States states, GradOptions options = {});

}  // namespace vg
