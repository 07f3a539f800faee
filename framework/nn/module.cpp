#include "voxgrad/framework/nn/module.hpp"

#include <cxxabi.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <exception>
#include <functional>
#include <mutex>
#include <set>
#include <typeinfo>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"

namespace vg {

namespace {

std::string join(const std::string& prefix, std::string_view name) {
  return prefix.empty() ? std::string(name) : prefix + "." + std::string(name);
}

// For messages: the module's kind, or the name of its type if it has none.
std::string kind_or_type(const Module& m) {
  std::string kind = m.kind();
  if (kind != "Module") return kind;
  int failed = 0;
  const std::unique_ptr<char, void (*)(void*)> name(abi::__cxa_demangle(typeid(m).name(), nullptr, nullptr, &failed),
                                                    std::free);
  return name ? name.get() : kind;
}

// Visits the whole tree, each module and state once, parents before children. With every_path, a state is visited once
// per path that leads to it.
class Walk : public Visitor {
 public:
  using OnState = std::function<void(const std::string&, State&)>;
  using OnModule = std::function<void(const std::string&, Module&)>;
  Walk(OnState on_state, OnModule on_module, bool every_path = false)
      : on_state_(std::move(on_state)), on_module_(std::move(on_module)), every_path_(every_path) {}

  void start(Module& root) { enter("", root); }
  void state(std::string_view name, State& s) override {
    if (!on_state_) return;
    if (s.identity() == nullptr)
      throw ValueError(fmt::format(
          "[Module] state {}: it was moved from, so it holds nothing; use the module it moved to", join(path_, name)));
    if (every_path_ || seen_.insert(s.identity()).second) on_state_(join(path_, name), s);
  }
  void module(std::string_view name, Module& m) override { enter(join(path_, name), m); }

 private:
  void enter(const std::string& path, Module& m) {
    if (!seen_.insert(&m).second) return;
    if (on_module_) on_module_(path, m);
    const std::string before = std::exchange(path_, path);
    m.visit(*this);
    path_ = before;
    if (every_path_) seen_.erase(&m);  // other paths may enter it again, but not itself
  }

  OnState on_state_;
  OnModule on_module_;
  std::string path_;
  std::set<const void*> seen_;
  bool every_path_;
};

void for_each_module(Module& root, const Walk::OnModule& f) { Walk({}, f).start(root); }
void for_each_state(Module& root, const Walk::OnState& f) { Walk(f, {}).start(root); }

// The path of a module below root. The pointer is only compared.
std::optional<std::string> path_below(Module& root, const void* wanted) {
  std::optional<std::string> found;
  for_each_module(root, [&](const std::string& path, const Module& m) {
    if (&m == wanted) found = path;
  });
  return found;
}

// Describes the module's own children, and rejects a child that contains the module.
struct Describe : Visitor {
  Describe(ModuleConfig& d, std::vector<std::pair<const Module*, std::string>>& modules)
      : description(d), open(modules) {}
  void state(std::string_view, State&) override {}
  void module(std::string_view name, Module& m) override {
    const std::string path = join(open.back().second, name);
    for (const auto& [holder, at] : open)
      if (holder == &m)
        throw ValueError(fmt::format("[{}] visit: \"{}\" is {} itself; a module must not visit one that holds it",
                                     kind_or_type(m), path, at.empty() ? "the model" : fmt::format("\"{}\"", at)));
    description.children.emplace_back(name, described(path, m, open));
  }
  static ModuleConfig described(const std::string& path, Module& m,
                                std::vector<std::pair<const Module*, std::string>>& open) {
    ModuleConfig d{m.kind(), m.options(), {}};
    open.emplace_back(&m, path);
    Describe names(d, open);
    m.visit(names);
    open.pop_back();
    return d;
  }
  ModuleConfig& description;
  std::vector<std::pair<const Module*, std::string>>& open;  // from the root to the module that is being described
};

constinit thread_local bool copying = false;

}  // namespace

namespace detail {

CopyingModules::CopyingModules() : before_(std::exchange(copying, true)) {}
CopyingModules::~CopyingModules() { copying = before_; }

}  // namespace detail

Module::Module(const Module& other) : in_size_(other.in_size_), out_size_(other.out_size_), training_(other.training_) {
  if (!copying)
    throw ValueError(
        fmt::format("[{}] copy: a module is not copied, as both would share their states; make a second one with "
                    "vg::clone, move it with std::move, or hold it by std::shared_ptr",
                    kind_or_type(other)));
  if (other.trained_once_) trained_once_ = std::make_shared<bool>(*other.trained_once_);
}

// ------------------------------------------------------------------------------------------------------------ a call

// The calls that this thread is in, linked through its stack.
class Module::Call {
 public:
  explicit Call(Module& m) : module(m), outer(current) { current = this; }
  ~Call() { current = outer; }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  static constinit thread_local const Call* current;
  Module& module;
  const Call* const outer;
};
constinit thread_local const Module::Call* Module::Call::current = nullptr;

namespace {
std::span<const Variable> all_of(const Variable& y) { return {&y, 1}; }
std::span<const Variable> all_of(const Variables& ys) { return ys; }
}  // namespace

template <class F>
auto Module::called(F&& f) {
  const Call* const outer = Call::current;
  if (outer != nullptr && !training_ && outer->module.training_) check_named(outer);
  const Call here(*this);
  ModuleObserver* const told = observer_;
  try {
    if (told == nullptr) return f();
    told->before(*this);
    try {
      auto y = f();
      told->after(*this, all_of(y));
      return y;
    } catch (...) {
      told->failed(*this);
      throw;
    }
  } catch (Error& error) {
    locate(error);
    throw;
  }
}

Variable Module::operator()(Variable x) {
  return called([&] { return update(std::move(x)); });
}

Variables Module::call(Variables inputs) {
  return called([&] { return update_all(std::move(inputs)); });
}

Variables Module::update_all(Variables inputs) {
  if (inputs.size() != 1)
    throw ValueError(fmt::format("[{}] call: got {} inputs; must be 1 (a vg::MultiModule takes several)",
                                 kind_or_type(*this), inputs.size()));
  Variables outputs;
  outputs.push_back(update(std::move(inputs[0])));
  return outputs;
}

Variable MultiModule::update(Variable x) {
  Variables inputs;
  inputs.push_back(std::move(x));
  Variables outputs = update_all(std::move(inputs));
  if (outputs.size() != 1)
    throw ValueError(fmt::format("[{}] update: it gives {} outputs; vg::Module::call returns all of them",
                                 kind_or_type(*this), outputs.size()));
  return std::move(outputs[0]);
}

// Each call that the exception passes through looks for the throwing module in its own tree, so the outermost call sets
// the whole path. If there is no memory for that, the message stays as it was.
void Module::locate(Error& error) noexcept {
  if (error.keeps_) return;
  try {
    auto place = std::make_shared<Error::Place>();
    if (error.place_ == nullptr)
      place->plain = dynamic_cast<const std::exception&>(error).what();
    else
      *place = *error.place_;
    std::optional<std::string> path;
    if (place->module != nullptr) path = path_below(*this, place->module);
    if (!path) {  // thrown here, or in a module that visit() does not name
      place->module = this;
      place->kind = kind_or_type(*this);
      path.emplace();
    }
    if (!path->empty())
      place->text = fmt::format("in {} ({}): {}", *path, place->kind, place->plain);
    else if (place->plain.starts_with("[" + place->kind))
      place->text = place->plain;
    else
      place->text = fmt::format("in {}: {}", place->kind, place->plain);
    error.place_ = std::move(place);
  } catch (...) {
  }
}

// In training mode, a submodule in evaluation mode is either meant to be so by the user, or no visit() names it.
void Module::check_named(const Call* outer) {
  const std::atomic_ref<const Module*> named_by(named_by_);  // several threads may call one model
  if (named_by.load(std::memory_order_relaxed) == &outer->module || !recording()) return;
  for (const Call* c = outer; c != nullptr; c = c->outer)
    if (path_below(c->module, this)) {
      named_by.store(&outer->module, std::memory_order_relaxed);
      return;
    }
  bool matters = false;
  Walk([&](const std::string&,
           const State& s) { matters = matters || (is_a(s.kind(), StateKind::param) && s.size() != 0 && !s.frozen()); },
       [&](const std::string&, const Module& m) { matters = matters || m.has_training_mode(); })
      .start(*this);
  if (matters)
    throw ValueError(fmt::format(
        "[{0}] visit: it calls a {1} that visit() does not name, so that it would be neither trained, nor saved, nor "
        "put "
        "in training mode; name it: v(\"name\", member). If that is meant, call it under vg::NoGradGuard, or "
        "freeze() it",
        kind_or_type(outer->module), kind_or_type(*this)));
}

// ---------------------------------------------------------------------------------------------------------- the tree

void Module::build(const std::vector<std::int64_t>& in_size) {
  const auto fits = [](std::int64_t want, std::int64_t got) {
    return want == dynamic || got == dynamic || want == got;
  };
  if (!in_size_.empty() && !std::equal(in_size_.begin(), in_size_.end(), in_size.begin(), in_size.end(), fits))
    throw ValueError(fmt::format("[{}] in_size: got ({}); the layer was made for ({})", kind(),
                                 fmt::join(in_size, ", "), fmt::join(in_size_, ", ")));
  if (in_size_.empty()) set_sizes(in_size, in_size);  // a layer that keeps shapes: activations, dropout
}

std::shared_ptr<bool> Module::trained_once() {
  static std::mutex several_threads;  // several threads may call states() of one model
  const std::lock_guard guard(several_threads);
  if (!trained_once_) trained_once_ = std::make_shared<bool>(false);
  return trained_once_;
}

namespace {

// Finds a module's own running statistics.
struct Statistics : Visitor {
  explicit Statistics(Module& m) { m.visit(*this); }
  void state(std::string_view, State& s) override {
    if (s.kind() == StateKind::batch) found.push_back(s);
  }
  void module(std::string_view, Module&) override {}
  std::vector<State> found;
};

}  // namespace

States Module::states() const {
  States found;
  Walk([&](const std::string& path, State& s) { found.insert(path, s); },
       [&](const std::string& path, Module& m) {
         if (m.has_training_mode()) found.add_mode({path, m.kind(), m.trained_once(), Statistics(m).found});
       })
      .start(detail::visited(*this));
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
  for_each_module(*this, [&](const std::string&, Module& m) {
    m.training_ = on;
    if (on && m.has_training_mode()) *m.trained_once() = true;
  });
}

void Module::freeze() { freeze_those("freeze", "", true); }
void Module::unfreeze() { freeze_those("unfreeze", "", false); }
void Module::freeze(std::string_view pattern) { freeze_those("freeze", pattern, true); }
void Module::unfreeze(std::string_view pattern) { freeze_those("unfreeze", pattern, false); }

void Module::freeze_those(std::string_view what, std::string_view pattern, bool on) {
  std::vector<std::string> others;
  bool found = pattern.empty();
  const auto each = [&](const std::string& path, State& s) {
    if (!is_a(s.kind(), StateKind::long_term)) return;
    if (path_fits(path, pattern)) {
      on ? s.freeze() : s.unfreeze();
      found = true;
      return;
    }
    for (const std::string& leaf : s.leaves())
      if (path_fits(path + "." + leaf, pattern)) {
        on ? s.freeze(leaf) : s.unfreeze(leaf);
        found = true;
      } else if (others.size() < 8) {
        others.push_back(path + "." + leaf);
      }
  };
  Walk(each, {}, true).start(*this);
  if (!found)
    throw ValueError(fmt::format(
        "[{}] {}: got \"{}\", which fits no parameter and no running statistic; {}", kind_or_type(*this), what, pattern,
        others.empty() ? "there are none: a model has them once its sizes are known (in_size, or build())"
                       : fmt::format("there are {}{}", fmt::join(others, ", "), others.size() == 8 ? ", ..." : "")));
}

void Module::observe(ModuleObserver* observer) {
  for_each_module(*this, [&](const std::string&, Module& m) { m.observer_ = observer; });
}

FitGuard::FitGuard(Module& module, bool fit) {
  for_each_module(module, [&](const std::string&, Module& m) { before_.emplace_back(&m, m.training()); });
  module.train(fit);
}

FitGuard::~FitGuard() {
  for (const auto& [module, training] : before_) module->training_ = training;
}

ModuleConfig Module::description() const {
  std::vector<std::pair<const Module*, std::string>> open;
  return Describe::described("", detail::visited(*this), open);
}

}  // namespace vg
