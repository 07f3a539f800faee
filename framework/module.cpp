#include "framework/module.hpp"

#include <algorithm>
#include <functional>
#include <set>

#include <fmt/format.h>

#include "framework/error.hpp"

namespace vg {

namespace {

std::string join(const std::string& prefix, std::string_view name) {
  return prefix.empty() ? std::string(name) : prefix + "." + std::string(name);
}

// Visits the whole tree, each module and state once, parents before children.
class Walk : public Visitor {
 public:
  using OnState = std::function<void(const std::string&, State&)>;
  using OnModule = std::function<void(const std::string&, Module&)>;
  Walk(OnState on_state, OnModule on_module) : on_state_(std::move(on_state)), on_module_(std::move(on_module)) {}

  void start(Module& root) { enter("", root); }
  void state(std::string_view name, State& s) override {
    if (on_state_ && seen_.insert(s.identity()).second) on_state_(join(path_, name), s);
  }
  void module(std::string_view name, Module& m) override { enter(join(path_, name), m); }

 private:
  void enter(const std::string& path, Module& m) {
    if (!seen_.insert(&m).second) return;
    if (on_module_) on_module_(path, m);
    const std::string before = std::exchange(path_, path);
    m.visit(*this);
    path_ = before;
  }

  OnState on_state_;
  OnModule on_module_;
  std::string path_;
  std::set<const void*> seen_;
};

void for_each_module(Module& root, const Walk::OnModule& f) { Walk({}, f).start(root); }
void for_each_state(Module& root, const Walk::OnState& f) { Walk(f, {}).start(root); }

// Names only one module's own states and children.
struct Describe : Visitor {
  explicit Describe(Description& d) : description(d) {}
  void state(std::string_view, State&) override {}
  void module(std::string_view name, Module& m) override { description.children.emplace_back(name, m.description()); }
  Description& description;
};

}  // namespace

Variable Module::operator()(Variable x) {
  if (observer_ == nullptr) return update_last(std::move(x));
  observer_->before(*this);
  ModuleObserver* const told = observer_;
  try {
    Variable y = update_last(std::move(x));
    told->after(*this, y);
    return y;
  } catch (...) {
    told->failed(*this);
    throw;
  }
}

void Module::build(const std::vector<std::int64_t>& in_size) {
  const auto fits = [](std::int64_t want, std::int64_t got) { return want == any || got == any || want == got; };
  if (!in_size_.empty() && !std::equal(in_size_.begin(), in_size_.end(), in_size.begin(), in_size.end(), fits))
    throw ValueError(fmt::format("[{}] in_size: got ({}); the layer was made for ({})", kind(),
                                 fmt::join(in_size, ", "), fmt::join(in_size_, ", ")));
  if (in_size_.empty()) set_sizes(in_size, in_size);  // a layer that keeps shapes: activations, dropout
}

States Module::states() {
  States found;
  for_each_state(*this, [&](const std::string& path, State& s) { found.insert(path, s); });
  return found;
}

void Module::zero_grad() {
  for_each_state(*this, [](const std::string&, State& s) { s.zero_grad(); });
}

void Module::to(DType dtype) {
  if (!is_float(dtype)) throw TypeError(fmt::format("[{}] to: got i32; must be f32 or f64", kind()));
  for_each_state(*this, [&](const std::string&, State& s) { s.to(dtype); });
}

void Module::train(bool on) {
  for_each_module(*this, [&](const std::string&, Module& m) { m.training_ = on; });
}

void Module::observe(ModuleObserver* observer) {
  for_each_module(*this, [&](const std::string&, Module& m) { m.observer_ = observer; });
}

FitScope::FitScope(Module& module, bool fit) {
  for_each_module(module, [&](const std::string&, Module& m) { before_.emplace_back(&m, m.training()); });
  module.train(fit);
}

FitScope::~FitScope() {
  for (const auto& [module, training] : before_) module->training_ = training;
}

Description Module::description() {
  Description d{kind(), options(), {}};
  Describe names(d);
  visit(names);
  return d;
}

}  // namespace vg
