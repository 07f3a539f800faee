#include "voxgrad/layers/registry/clone.hpp"

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <typeindex>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/quote.hpp"
#include "voxgrad/framework/base/random.hpp"
#include "voxgrad/layers/registry/registry.hpp"

namespace vg {

namespace {

using vg::in_quotes;

struct Copiers {
  std::mutex lock;
  std::map<std::type_index, detail::Copier> by_type;
};

Copiers& copiers() {
  static Copiers of_the_process;
  return of_the_process;
}

detail::Copier copier_of(const Module& module) {
  const std::lock_guard guard(copiers().lock);
  const auto it = copiers().by_type.find(typeid(module));
  return it == copiers().by_type.end() ? nullptr : it->second;
}

// Collects all paths of a module tree. description() has already refused modules that contain themselves.
class Paths : public Visitor {
 public:
  explicit Paths(Module& root) { enter("", root); }
  void state(std::string_view name, State& s) override { states.emplace_back(join(name), &s); }
  void module(std::string_view name, Module& m) override { enter(join(name), m); }

  std::vector<std::pair<std::string, State*>> states;
  std::vector<std::pair<std::string, Module*>> modules;

 private:
  std::string join(std::string_view name) const {
    return path_.empty() ? std::string(name) : path_ + "." + std::string(name);
  }
  void enter(const std::string& path, Module& m) {
    modules.emplace_back(path, &m);
    const std::string before = std::exchange(path_, path);
    m.visit(*this);
    path_ = before;
  }
  std::string path_;
};

// Visits a copy and gives it its own states and held modules.
class Own : public Visitor {
 public:
  explicit Own(Module& original) {
    original.description();  // throws if a module visits itself
    const Paths all(original);
    for (const auto& [path, s] : all.states) originals_.insert(s);
    for (const auto& [path, m] : all.modules) originals_.insert(m);
  }

  void state(std::string_view name, State& s) override {
    require_own(&s, name);
    s = own(s);
  }
  void module(std::string_view name, Module& m) override {
    require_own(&m, name);
    visit(join(name), m);
  }
  void held(std::string_view name, std::shared_ptr<Module>& m) override {
    if (made_.contains(m.get())) return;
    auto known = modules_.find(m.get());
    if (known == modules_.end()) known = modules_.emplace(m.get(), copy_of(join(name), *m)).first;
    m = known->second;
  }
  /// Copies a module by its dynamic type's copier if one is registered; otherwise makes it from its description.
  std::unique_ptr<Module> copy_of(const std::string& path, Module& m) {
    if (const detail::Copier copier = copier_of(m)) {
      std::unique_ptr<Module> copy = [&] {
        const detail::CopyingModules allowed;
        return copier(m);
      }();
      made_.insert(copy.get());
      visit(path, *copy);
      return copy;
    }
    std::unique_ptr<Module> copy = from_description(path, m);
    made_.insert(copy.get());
    take_from(path, *copy, m);
    return copy;
  }

 private:
  std::string join(std::string_view name) const {
    return path_.empty() ? std::string(name) : path_ + "." + std::string(name);
  }

  void visit(const std::string& path, Module& m) {
    const std::string before = std::exchange(path_, path);
    m.visit(*this);
    path_ = before;
  }

  void require_own(const void* thing, std::string_view name) const {
    if (originals_.contains(thing))
      throw ValueError(
          fmt::format("[clone] {}: the copy refers to the original's; a module holds what it visits as a member or by "
                      "std::shared_ptr",
                      in_quotes(join(name))));
  }

  // The copy of a state. For a state that is itself a copy, returns it.
  const State& own(const State& s) {
    if (const auto it = states_.find(s.identity()); it != states_.end()) return it->second;
    const State copy = s.copy();
    states_.emplace(copy.identity(), copy);
    return states_.emplace(s.identity(), copy).first->second;
  }

  static std::unique_ptr<Module> from_description(const std::string& path, Module& m) {
    random::Generator apart(0);  // the initial values of a new module are drawn from here; they are replaced later
    const random::GeneratorGuard draws(apart);
    try {
      return make_module(m.description());
    } catch (const std::invalid_argument& e) {
      throw ValueError(
          fmt::format("[clone] {} ({}): its type is not registered (call vg::register_clone<ItsType>() once), "
                      "and it cannot be "
                      "made from its description: {}",
                      path.empty() ? "the model" : in_quotes(path), m.kind(), e.what()));
    }
  }

  // Gives a module that was made from m's description copies of m's states, and its modes.
  void take_from(const std::string& path, Module& made, Module& m) {
    const Paths to(made), from(m);
    bool same = to.states.size() == from.states.size() && to.modules.size() == from.modules.size();
    for (std::size_t i = 0; same && i < to.states.size(); ++i) same = to.states[i].first == from.states[i].first;
    for (std::size_t i = 0; same && i < to.modules.size(); ++i)
      same = to.modules[i].first == from.modules[i].first &&
             to.modules[i].second->kind() == from.modules[i].second->kind();
    if (!same)
      throw ValueError(fmt::format("[clone] {} ({}): the module made from its description has other states or modules",
                                   path.empty() ? "the model" : in_quotes(path), m.kind()));
    for (std::size_t i = 0; i < to.states.size(); ++i) *to.states[i].second = own(*from.states[i].second);
    for (std::size_t i = 0; i < to.modules.size(); ++i) to.modules[i].second->train(from.modules[i].second->training());
    const States now = made.states(), then = m.states();
    for (std::size_t i = 0; i < now.modes().size() && i < then.modes().size(); ++i)
      *now.modes()[i].trained = *then.modes()[i].trained;
  }

  std::set<const void*> originals_;                           // addresses of the original's modules and states
  std::set<const Module*> made_;                              // the copies of held modules
  std::map<const Module*, std::shared_ptr<Module>> modules_;  // by the original, which stays alive
  std::map<const void*, State> states_;                       // by the identities of the original and of the copy
  std::string path_;
};

using detail::visited;

}  // namespace

namespace detail {

void register_copier(const std::type_info& type, Copier copier) {
  const std::lock_guard guard(copiers().lock);
  copiers().by_type.emplace(type, copier);
}

void make_own(Module& copy, const Module& original) {
  Own own(visited(original));
  copy.visit(own);
}

void throw_sliced(const Module& module) {
  throw TypeError(
      fmt::format("[clone] module: got a {} by a reference to its base type; pass it as its own type, "
                  "or as a vg::Module&",
                  module.kind()));
}

}  // namespace detail

std::unique_ptr<Module> clone(const Module& module) {
  Module& original = visited(module);
  Own own(original);
  return own.copy_of("", original);
}

}  // namespace vg
