#include "voxgrad/framework/transforms/grad.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"

namespace vg {

const Variable& StateGrads::at(std::string_view path, std::string_view leaf) const {
  for (const Entry& e : entries)
    if (e.path == path)
      for (const auto& [name, grad] : e.leaves)
        if (name == leaf) return grad;
  throw ValueError(fmt::format("[StateGrads] there is no gradient of \"{}\", leaf \"{}\"", path, leaf));
}

namespace {

// Arguments to differentiate become variables that require a gradient. Those inside another grad's graph stay connected
// to it.
Args with_gradients(const Args& args, const std::vector<int>& argnums) {
  Args inputs = args;
  for (int i : argnums) {
    if (i < 0 || static_cast<std::size_t>(i) >= args.size())
      throw ValueError(fmt::format("[grad] argnums: got {}; must be in [0, {})", i, args.size()));
    Variable& a = inputs[static_cast<std::size_t>(i)];
    if (!a.requires_grad()) a = Variable(a.value(), true);
  }
  return inputs;
}

struct Target {
  std::string path, leaf;
  Variable variable;
};

std::vector<Target> targets_of(const States& states) {
  std::vector<Target> targets;
  for (const auto& [path, state] : states)
    for (const std::string& leaf : state.leaves())
      if (state[leaf].requires_grad()) targets.push_back({path, leaf, state[leaf]});
  return targets;
}

Variable zeros_like(const Variable& v) { return Variable(Tensor::zeros(v.shape(), v.dtype())); }

GradResult run(const Differentiable& f, const States& states, const GradOptions& options, const Args& args,
               bool any_shape) {
  EnableGrad recording;
  const Args inputs = with_gradients(args, options.argnums);
  const std::vector<Target> targets = targets_of(states);
  std::vector<Variable> wanted;
  for (const Target& t : targets) wanted.push_back(t.variable);
  for (int i : options.argnums) wanted.push_back(inputs[static_cast<std::size_t>(i)]);

  ValueAux result = f(inputs);
  const Variable cotangent =
      any_shape ? Variable(Tensor::ones(result.value.shape(), result.value.dtype())) : Variable{};
  std::vector<Variable> found =
      result.value.requires_grad()
          ? gradients(result.value, wanted, cotangent,
                      {.retain_graph = false, .create_graph = options.create_graph, .allow_unused = true})
          : std::vector<Variable>(wanted.size());

  GradResult out{{}, std::move(result.value), std::move(result.aux)};
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const bool is_state = i < targets.size();
    if (!found[i].defined()) {
      if (is_state && options.check_states)
        throw ValueError(fmt::format(
            "[grad] states: the value does not depend on \"{}\", leaf \"{}\"; pass check_states = false to get zeros",
            targets[i].path, targets[i].leaf));
      found[i] = zeros_like(wanted[i]);
    }
    if (!is_state) {
      out.grads.args.push_back(found[i]);
      continue;
    }
    auto& entries = out.grads.states.entries;
    if (entries.empty() || entries.back().path != targets[i].path) entries.push_back({targets[i].path, {}});
    entries.back().leaves.emplace_back(targets[i].leaf, found[i]);
  }
  return out;
}

}  // namespace

std::function<GradResult(const Args&)> grad(Differentiable f, States states, GradOptions options) {
  return [f = std::move(f), states = std::move(states), options = std::move(options)](const Args& args) {
    return run(f, states, options, args, false);
  };
}

std::function<GradResult(const Args&)> vector_grad(Differentiable f, States states, GradOptions options) {
  return [f = std::move(f), states = std::move(states), options = std::move(options)](const Args& args) {
    return run(f, states, options, args, true);
  };
}

}  // namespace vg
