#include "support/optim_toys.hpp"

#include <cmath>

#include "support/plain.hpp"

namespace vg::test {

ParamState param(const std::string& leaf, const Tensor& value) {
  ParamState state;
  state.add(leaf, value);
  return state;
}

Toy::Toy(DType dtype, std::int64_t rows) {
  body.add("weight", numbers({3 * rows, 4}, 1, dtype));
  body.add("bias", numbers({4}, 2, dtype));
  head.add("weight", numbers({5}, 3, dtype));
  states.insert("body.0.weight", body);
  states.insert("head.weight", head);
}

Tensor Toy::numbers(const Shape& shape, int seed, DType dtype) {
  Tensor t(shape, f64);
  for (std::int64_t i = 0; i < t.numel(); ++i)
    t.data<double>()[i] = std::sin(1.7 * static_cast<double>(i + 1) + 13.0 * static_cast<double>(seed));
  return t.to(f32).to(dtype);
}

void Toy::set_grads(int step) {
  for (const auto& [path, state] : states) {
    State s = state;
    for (const auto& leaf : s.leaves()) s.set_grad(leaf, grad(path, leaf, step));
  }
}

Tensor Toy::grad(const std::string& path, const std::string& leaf, int step) const {
  const Tensor& v = states.at(path)[leaf].value();
  return numbers(v.shape(), 7 * step + static_cast<int>(path.size() + leaf.size()), v.dtype());
}

StateGrads Toy::grads(int step) const {
  StateGrads all;
  for (const auto& [path, state] : states) {
    all.entries.push_back({path, {}});
    for (const auto& leaf : state.leaves()) all.entries.back().leaves.emplace_back(leaf, grad(path, leaf, step));
  }
  return all;
}

void Toy::copy(const Toy& other) {
  for (const auto& [path, state] : other.states)
    for (const auto& leaf : state.leaves()) State(states.at(path)).set(leaf, state[leaf].value().clone());
}

bool Toy::equals(const Toy& other) const {
  return same_bits(body["weight"].value(), other.body["weight"].value()) &&
         same_bits(body["bias"].value(), other.body["bias"].value()) &&
         same_bits(head["weight"].value(), other.head["weight"].value());
}

namespace {

template <class O, class Options>
Make make(Options options) {
  return [options](const States& s) { return std::make_unique<O>(s, options); };
}

}  // namespace

std::vector<std::pair<std::string, Make>> optimizer_kinds() {
  const Schedule cosine = CosineWarmup({.lr = 0.05, .warmup_steps = 3, .total_steps = 12});
  const Schedule cycle = OneCycle({.max_lr = 0.05, .total_steps = 12});
  const Schedule restarts = CosineRestarts({.lr = 0.05, .T_0 = 3, .T_mult = 2});
  const Schedule poly = Polynomial({.lr = 0.05, .total_steps = 12, .power = 0.9});
  const std::vector<ParamGroup> groups{{.path = "head", .lr_scale = 0.5, .weight_decay = 0.0}};
  return {
      {"SGD", make<SGD>(SGDOptions{.lr = cosine, .weight_decay = 0.1, .groups = groups})},
      {"SGD nesterov", make<SGD>(SGDOptions{.lr = 0.1, .momentum = 0.9, .nesterov = true, .clip_norm = 1.0})},
      {"SGD cycle", make<SGD>(SGDOptions{.lr = cycle})},
      {"Adam", make<Adam>(AdamOptions{.lr = cosine, .weight_decay = 0.1, .clip_value = 0.5})},
      {"AdamW", make<AdamW>(AdamWOptions{.lr = cycle, .clip_norm = 1.0, .groups = groups})},
      {"RMSProp", make<RMSProp>(RMSPropOptions{.lr = cosine, .weight_decay = 0.01})},
      {"RMSProp all", make<RMSProp>(RMSPropOptions{.lr = 0.01, .momentum = 0.5, .centered = true})},
      {"Adagrad", make<Adagrad>(AdagradOptions{
                      .lr = poly, .lr_decay = 0.1, .initial_accumulator_value = 0.1, .weight_decay = 0.1})},
      {"Adagrad clipped", make<Adagrad>(AdagradOptions{.lr = 0.1, .clip_norm = 1.0, .groups = groups})},
      {"Adamax", make<Adamax>(AdamaxOptions{.lr = restarts, .weight_decay = 0.1, .clip_value = 0.5})},
      {"Adamax cycle", make<Adamax>(AdamaxOptions{.lr = cycle, .clip_norm = 1.0, .groups = groups})},
      {"NAdam", make<NAdam>(NAdamOptions{.lr = cosine, .momentum_decay = 0.1, .weight_decay = 0.1})},
      {"NAdam cycle",
       make<NAdam>(NAdamOptions{
           .lr = cycle, .weight_decay = 0.1, .decoupled_weight_decay = true, .clip_norm = 1.0, .groups = groups})},
      {"RAdam", make<RAdam>(RAdamOptions{.lr = restarts, .weight_decay = 0.1, .clip_value = 0.5})},
      {"RAdam cycle",
       make<RAdam>(RAdamOptions{
           .lr = cycle, .weight_decay = 0.1, .decoupled_weight_decay = true, .clip_norm = 1.0, .groups = groups})},
      {"Lion", make<Lion>(LionOptions{.lr = poly, .weight_decay = 0.1, .clip_value = 0.5})},
      {"Lion cycle", make<Lion>(LionOptions{.lr = cycle, .clip_norm = 1.0, .groups = groups})},
      {"LAMB", make<LAMB>(LAMBOptions{.lr = cosine, .weight_decay = 0.1, .clip_value = 0.5})},
      {"LAMB cycle", make<LAMB>(LAMBOptions{.lr = cycle, .clip_norm = 1.0, .groups = groups})},
  };
}

}  // namespace vg::test
