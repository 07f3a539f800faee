#include "voxgrad/layers/registry/registry.hpp"

#include <algorithm>
#include <map>
#include <mutex>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/quote.hpp"
#include "voxgrad/framework/checkpoint/document.hpp"
#include "voxgrad/framework/checkpoint/restore.hpp"
#include "voxgrad/layers/init/parameter_limit.hpp"
#include "voxgrad/layers/registry/registry_table.hpp"

namespace vg {

namespace {

struct Registry {
  std::mutex lock;
  std::map<std::string, ModuleFactory, std::less<>> factories;
};

Registry& known() {
  static Registry of_the_process;
  return of_the_process;
}

using checkpoint::SavedModel;
using vg::in_quotes;

std::int64_t values_of(const SavedModel& saved) {
  std::int64_t values = 0;
  for (const auto& [path, state] : saved.states)
    for (const auto& [leaf, t] : state.leaves) values += t.numel();
  return values;
}

// Takes the file's dtypes for floating leaves: a model may have been saved as f64.
void take_dtypes(const SavedModel& saved, Module& model) {
  std::map<std::string, State, std::less<>> states;  // a map, because a lookup in States is linear
  for (const auto& [path, state] : model.states()) states.emplace(path, state);
  for (const auto& [path, from] : saved.states) {
    const auto found = states.find(path);
    if (found == states.end()) continue;
    State& state = found->second;
    for (const auto& [leaf, t] : from.leaves)
      if (state.has(leaf) && is_float(t.dtype()) && is_float(state[leaf].dtype()) && t.shape() == state[leaf].shape())
        state.replace(leaf, t);
  }
}

// Adds the options that the file does not have to its description: the module was made with their defaults.
void add_defaults(ModuleConfig& saved, const ModuleConfig& made) {
  const auto entry = [](auto& entries, const std::string& name) {
    return std::find_if(entries.begin(), entries.end(), [&](const auto& e) { return e.first == name; });
  };
  if (saved.kind != made.kind) return;
  for (const auto& option : made.options)
    if (entry(saved.options, option.first) == saved.options.end()) saved.options.push_back(option);
  for (const auto& [name, child] : made.children)
    if (const auto it = entry(saved.children, name); it != saved.children.end()) add_defaults(it->second, child);
}

}  // namespace

void register_module(std::string kind, ModuleFactory factory) {
  if (!factory) throw ValueError(fmt::format("[register_module] factory: got none for {}", in_quotes(kind)));
  const std::lock_guard guard(known().lock);
  if (registry::find_layer(kind) != nullptr || known().factories.contains(kind))
    throw ValueError(fmt::format("[register_module] kind: {} is registered already", in_quotes(kind)));
  known().factories.emplace(std::move(kind), std::move(factory));
}

std::vector<std::string> registered_modules() {
  std::vector<std::string> kinds;
  for (const registry::LayerEntry& layer : registry::layers()) kinds.emplace_back(layer.kind);
  const std::lock_guard guard(known().lock);
  for (const auto& [kind, factory] : known().factories) kinds.push_back(kind);
  std::sort(kinds.begin(), kinds.end());
  return kinds;
}

std::unique_ptr<Module> make_module(const ModuleConfig& d) {
  if (const registry::LayerEntry* layer = registry::find_layer(d.kind)) return layer->make(d);
  ModuleFactory factory;
  {
    const std::lock_guard guard(known().lock);
    const auto it = known().factories.find(d.kind);
    if (it != known().factories.end()) factory = it->second;
  }
  if (!factory)
    throw ValueError(fmt::format("[make_module] kind: {} is not registered; see vg::register_module. Registered are {}",
                                 in_quotes(d.kind), fmt::join(registered_modules(), ", ")));
  std::unique_ptr<Module> made = factory(d);
  if (!made) throw ValueError(fmt::format("[make_module] the factory of {} returned nullptr", in_quotes(d.kind)));
  return made;
}

std::unique_ptr<Module> load_model(const std::filesystem::path& path, const std::string& name) {
  const checkpoint::Document file = checkpoint::read(path);
  const auto fail = [&](const std::string& what) {
    return ValueError(fmt::format("[load_model] {}: {}", path.string(), what));
  };
  checkpoint::Problems problems;
  const SavedModel* const found = checkpoint::find_model(file, name, problems);
  if (found == nullptr) throw fail(problems[0]);
  SavedModel saved = *found;
  std::unique_ptr<Module> model;
  try {
    const detail::LimitGuard limit(values_of(saved));
    model = make_module(saved.description);
    add_defaults(saved.description, model->description());
  } catch (const std::invalid_argument& e) {
    throw fail(e.what());
  }
  take_dtypes(saved, *model);
  LoadReport report;
  const auto assignments = checkpoint::match_model(saved, *model, {}, report, problems);
  checkpoint::restore(path, problems, assignments);
  return model;
}

}  // namespace vg
