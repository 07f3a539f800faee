#include "voxgrad/framework/nn/nan_finder.hpp"

#include <functional>

#include <fmt/format.h>

namespace vg {

namespace {

// Returns false for a module that was visited before.
using OnModule = std::function<bool(const std::string& path, Module& module)>;

// Calls on_module once for every module of a tree, with its path.
struct Names : Visitor {
  Names(Module& root, OnModule f) : on_module(std::move(f)) { enter("", root); }
  void state(std::string_view, State&) override {}
  void module(std::string_view name, Module& m) override {
    enter(path.empty() ? std::string(name) : path + "." + std::string(name), m);
  }
  void enter(const std::string& to, Module& m) {
    if (!on_module(to, m)) return;
    const std::string before = std::exchange(path, to);
    m.visit(*this);
    path = before;
  }
  OnModule on_module;
  std::string path;
};

}  // namespace

NanFinder::NanFinder(Module& model, NanFinderOptions options) : model_(model), options_(options) {
  const Names walk(model, [this](const std::string& path, Module& m) {
    if (!paths_.emplace(&m, path).second) return false;
    names_.emplace(&m, fmt::format("{} ({})", path.empty() ? "the model" : path, m.kind()));
    observed_.emplace_back(&m, m.observer_);
    return true;
  });
  for (const auto& [module, before] : observed_) module->observer_ = this;
  observer_before_ = set_op_observer(this);
}

NanFinder::~NanFinder() {
  set_op_observer(observer_before_);
  for (const auto& [module, before] : observed_) module->observer_ = before;
}

void NanFinder::step(std::int64_t step) {
  step_ = step;
  if (pulls_.empty() && calls_.empty()) made_.clear();  // the graphs of earlier steps are seldom used again
}

NanFinder::Place NanFinder::here() const {
  if (!pulls_.empty()) return pulls_.back().place;
  return calls_.empty() ? nullptr : calls_.back();
}

std::string NanFinder::in(Place place) const {
  const auto it = names_.find(place);
  return it == names_.end() ? std::string() : " in " + it->second;
}

void NanFinder::found(std::string_view op, Place place, bool in_gradient, const std::string& what) const {
  NonFiniteError error(fmt::format("[NanFinder]{} {}", step_ == 0 ? "" : fmt::format(" step {}:", step_), what));
  error.op = op;
  if (const auto it = paths_.find(place); it != paths_.end()) error.layer = it->second;
  error.step = step_;
  error.in_gradient = in_gradient;
  error.keep_message();  // the message contains the place
  throw error;
}

std::string NanFinder::leaf_name(const Variable& v) const {
  for (const auto& [path, state] : model_.states())
    for (const std::string& leaf : state.leaves())
      if (state[leaf].is(v) || state[leaf].value().raw() == v.value().raw())
        return fmt::format("{} {}, leaf {}, holds it already", name_of(state.kind()), path, leaf);
  if (!v.is_leaf()) return fmt::format("op {} made it before the finder existed", v.op());
  return "no op made it: it is an input, or was computed outside of ops";
}

// Throws for an input that is not finite but was not found when it was made: a leaf.
void NanFinder::check_inputs(std::string_view op, const std::vector<Variable>& inputs) const {
  for (std::size_t i = 0; i < inputs.size(); ++i)
    if (const auto at = find_non_finite(inputs[i].value(), options_.infinities))
      found(op, here(), !pulls_.empty(),
            fmt::format("input {} of op {}{} is {}: {}", i, op, in(here()), describe_non_finite(inputs[i].value(), *at),
                        leaf_name(inputs[i])));
}

void NanFinder::on_output(std::string_view op, const Tensor& value, const std::vector<Variable>& inputs,
                          std::uint64_t node) {
  if (node != 0) made_[node] = here();
  const auto at = find_non_finite(value, options_.infinities);
  if (!at) return;
  check_inputs(op, inputs);
  const std::string what = describe_non_finite(value, *at);
  if (pulls_.empty()) found(op, here(), false, fmt::format("op {}{} made {}", op, in(here()), what));
  const Pulling& p = pulls_.back();
  found(p.op, p.place, true, fmt::format("the gradient of op {}{} made {}, in its op {}", p.op, in(p.place), what, op));
}

void NanFinder::on_gradient(const Variable& of, std::uint64_t node, const Variable& grad) {
  const auto at = find_non_finite(grad.value(), options_.infinities);
  if (!at) return;
  const auto it = made_.find(node);
  const Place place = it == made_.end() ? nullptr : it->second;
  const std::string whose = of.is_leaf() ? "a leaf" : fmt::format("the result of op {}{}", of.op(), in(place));
  found(of.op(), place, true,
        fmt::format("the gradient of {}, summed up or given as the cotangent, is {}", whose,
                    describe_non_finite(grad.value(), *at)));
}

void NanFinder::begin_vjp(std::string_view op, std::uint64_t node) {
  const auto it = made_.find(node);
  pulls_.push_back({op, it == made_.end() ? nullptr : it->second});
}

void NanFinder::on_vjp_result(const Grads& grads) {
  const Pulling& p = pulls_.back();
  for (std::size_t i = 0; i < grads.size(); ++i)
    if (grads[i].defined())
      if (const auto at = find_non_finite(grads[i].value(), options_.infinities))
        found(p.op, p.place, true,
              fmt::format("the gradient of op {}{} made {}, for its input {}", p.op, in(p.place),
                          describe_non_finite(grads[i].value(), *at), i));
}

void NanFinder::end_vjp() noexcept { pulls_.pop_back(); }
void NanFinder::before(const Module& module) { calls_.push_back(&module); }
void NanFinder::after(const Module&, std::span<const Variable>) { calls_.pop_back(); }
void NanFinder::failed(const Module&) noexcept { calls_.pop_back(); }

}  // namespace vg
