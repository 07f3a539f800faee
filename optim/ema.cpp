#include "voxgrad/optim/ema.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/nn/fields.hpp"

namespace vg {

namespace {

// torch.lerp, computed from the nearer end, so that a weight of 1 gives `to` exactly.
template <class T>
void lerp(T* __restrict from, const T* __restrict to, std::int64_t n, T weight) {
  if (weight < T{0.5})
    for (std::int64_t i = 0; i < n; ++i) from[i] += weight * (to[i] - from[i]);
  else
    for (std::int64_t i = 0; i < n; ++i) from[i] = to[i] - (to[i] - from[i]) * (1 - weight);
}

ParamLoop average_in(Tensor& average, const Tensor& value, double weight) {
  return dispatch_float("Ema", value.dtype(), [&](auto zero) -> ParamLoop {
    using T = decltype(zero);
    return [a = average.data<T>(), v = value.data<T>(), w = static_cast<T>(weight)](
               std::int64_t begin, std::int64_t end) { lerp(a + begin, v + begin, end - begin, w); };
  });
}

bool fits(const Tensor& a, const Tensor& b) { return a.shape() == b.shape() && a.dtype() == b.dtype(); }

const StateDict* part_of(const StateDict& state, const std::string& name) {
  for (const auto& [key, part] : state.parts)
    if (key == name) return &part;
  return nullptr;
}

}  // namespace

Ema::Ema(const States& states, EmaOptions options) : options_(options) {
  require_in(from_0_below_1, "Ema", "decay", options_.decay);
  for (const auto& [path, state] : states)
    for (const std::string& leaf : state.leaves()) slots_.push_back({path, leaf, state, state[leaf].value().clone()});
  if (std::none_of(slots_.begin(), slots_.end(), [](const Slot& s) { return is_float(s.average.dtype()); }))
    throw ValueError(fmt::format("[Ema] states: there is no floating leaf among {} states", states.size()));
}

void Ema::check_leaves(std::string_view where) const {
  for (const Slot& s : slots_)
    if (const Tensor& value = s.state[s.leaf].value(); !fits(value, s.average))
      throw ValueError(fmt::format("[Ema] {}: {}, leaf {}, is {}; its average is {}", where, s.path, s.leaf,
                                   form(value), form(s.average)));
}

void Ema::update() {
  check_leaves("update");
  pass_.clear();
  for (Slot& s : slots_) {    // allocate everything before any change
    s.average.make_unique();  // a snapshot or the model may share it
    pass_.add(is_float(s.average.dtype()) ? s.average.numel() : 0);
  }
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    Slot& s = slots_[i];
    const Tensor& value = s.state[s.leaf].value();
    if (is_float(value.dtype()))
      pass_[i] = average_in(s.average, value, updates_ == 0 ? 1 : 1 - options_.decay);
    else
      s.average = value.clone();
  }
  pass_.run();
  ++updates_;
}

const Tensor& Ema::average(std::string_view path, std::string_view leaf) const {
  for (const Slot& s : slots_)
    if (s.path == path && s.leaf == leaf) return s.average;
  throw ValueError(fmt::format("[Ema] average: there is no \"{}\", leaf \"{}\"", path, leaf));
}

StateDict Ema::save_state() const {
  StateDict state;
  state.values = {{"decay", options_.decay}, {"updates", updates_}};
  for (const Slot& s : slots_) {
    if (state.parts.empty() || state.parts.back().first != s.path) state.parts.emplace_back(s.path, StateDict{});
    state.parts.back().second.tensors.emplace_back(s.leaf, s.average);
  }
  return state;
}

std::vector<std::string> Ema::check_state(const StateDict& state) const {
  std::vector<std::string> problems;
  if (const double decay = state.get<double>("decay"); decay != options_.decay)
    problems.push_back(fmt::format("decay: {} in the state; here it is {}", decay, options_.decay));
  if (const auto updates = state.get<std::int64_t>("updates"); updates < 0)
    problems.push_back(fmt::format("updates: got {}; must be at least 0", updates));
  std::size_t known = 0, held = 0;
  for (const Slot& s : slots_) {
    const StateDict* part = part_of(state, s.path);
    if (part == nullptr || !part->has_tensor(s.leaf)) {
      problems.push_back(fmt::format("\"{}\", leaf \"{}\": missing", s.path, s.leaf));
      continue;
    }
    ++known;
    if (const Tensor& t = part->tensor(s.leaf); !fits(t, s.average))
      problems.push_back(
          fmt::format("\"{}\", leaf \"{}\": is {}; must be {}", s.path, s.leaf, form(t), form(s.average)));
  }
  for (const auto& [path, part] : state.parts) held += part.tensors.size();
  if (held > known) problems.push_back(fmt::format("{} averages of leaves that are not here", held - known));
  return problems;
}

void Ema::load_state(const StateDict& state) {
  for (Slot& s : slots_) s.average = state.part(s.path).tensor(s.leaf);
  updates_ = state.get<std::int64_t>("updates");
}

EmaGuard::EmaGuard(Ema& ema) : ema_(ema) {
  ema_.check_leaves("EmaGuard");
  for (const Ema::Slot& s : ema_.slots_) own_.emplace_back(s.average, s.state[s.leaf].requires_grad());
  for (std::size_t i = 0; i < own_.size(); ++i) ema_.slots_[i].state.exchange(ema_.slots_[i].leaf, own_[i]);
}

EmaGuard::~EmaGuard() {
  for (std::size_t i = 0; i < own_.size(); ++i) ema_.slots_[i].state.exchange(ema_.slots_[i].leaf, own_[i]);
}

}  // namespace vg
