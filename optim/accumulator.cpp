#include "voxgrad/optim/accumulator.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "voxgrad/framework/nn/fields.hpp"
#include "voxgrad/optim/settings.hpp"

namespace vg {

namespace {}  // namespace

GradAccumulator::GradAccumulator(Optimizer& optimizer, std::int64_t every) : optimizer_(optimizer), every_(every) {
  require_in(at_least(1), "GradAccumulator", "every", static_cast<double>(every));
}

bool GradAccumulator::step() {
  if (count_ + 1 < every_) {
    ++count_;
    return false;
  }
  optimizer_.apply(optimizer_.grads_of_slots(), 1.0 / static_cast<double>(every_));
  optimizer_.zero_grad();
  count_ = 0;
  return true;
}

StateDict GradAccumulator::save_state() const {
  StateDict state;
  state.values = {{"every", every_}, {"count", count_}};
  for (const auto& slot : optimizer_.slots_) {
    const Variable& sum = slot.state[slot.leaf].grad();
    if (!sum.defined()) continue;
    if (state.parts.empty() || state.parts.back().first != slot.path) state.parts.emplace_back(slot.path, StateDict{});
    state.parts.back().second.tensors.emplace_back(slot.leaf, sum.value());
  }
  return state;
}

std::vector<std::string> GradAccumulator::check_state(const StateDict& state) const {
  std::vector<std::string> problems;
  const std::int64_t *every = detail::count_in(state, "every"), *count = detail::count_in(state, "count");
  if (!every || *every != every_)
    problems.push_back(
        fmt::format("every: {} in the state; here it is {}", every ? fmt::format("{}", *every) : "missing", every_));
  if (!count || *count >= every_) problems.push_back(fmt::format("count: missing or not in [0, {})", every_));
  for (const auto& [path, part] : state.parts)
    for (const auto& [leaf, sum] : part.tensors) {
      const auto slot = std::find_if(optimizer_.slots_.begin(), optimizer_.slots_.end(),
                                     [&, &p = path, &l = leaf](const auto& s) { return s.path == p && s.leaf == l; });
      if (slot == optimizer_.slots_.end()) {
        problems.push_back(fmt::format("\"{}\", leaf \"{}\": the optimizer has no such parameter", path, leaf));
        continue;
      }
      const Tensor& value = slot->state[slot->leaf].value();
      if (form(sum) != form(value))
        problems.push_back(fmt::format("\"{}\", leaf \"{}\": is {}; must be {}", path, leaf, form(sum), form(value)));
    }
  return problems;
}

void GradAccumulator::load_state(const StateDict& state) {
  for (auto& slot : optimizer_.slots_) {
    const StateDict* part = detail::find_entry(state.parts, slot.path);
    const Tensor* sum = part ? detail::find_entry(part->tensors, slot.leaf) : nullptr;
    slot.state.set_grad(slot.leaf, sum ? Variable(*sum) : Variable());
  }
  count_ = state.get<std::int64_t>("count");
}

}  // namespace vg
