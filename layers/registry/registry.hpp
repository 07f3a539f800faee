// Makes a model from its description, by a closed table of kinds: all layers and the kinds that a program registers. A
// description is plain data; other kinds are refused.
//
//   std::unique_ptr<vg::Module> model = vg::load_model("shapes.json");   // made of this library's layers
//
//   vg::register_module<MyNet>("MyNet");                                  // your own module, by its kind()
//   vg::register_module("Stem", [](const vg::ModuleConfig& d) { return std::make_unique<Stem>(channels_of(d)); });
#pragma once

#include <concepts>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "voxgrad/framework/nn/fields.hpp"
#include "voxgrad/framework/nn/module.hpp"

namespace vg {

/// Makes a module with this description(). Its parameter values are unspecified.
using ModuleFactory = std::function<std::unique_ptr<Module>(const ModuleConfig&)>;

/// Makes the module of a description, with zero parameters; used by factories of modules with children. Throws
/// ValueError naming the kind or option that is not registered, missing or not allowed. An option that the description
/// does not have keeps its default.
std::unique_ptr<Module> make_module(const ModuleConfig& description);

namespace detail {

template <class M>
concept has_options = requires(typename M::Options options, Fields& f) {
  options.fields(f);
};

template <class M>
std::unique_ptr<Module> made_from_config(const ModuleConfig& d) {
  std::unique_ptr<M> made;
  if constexpr (has_options<M>)
    made = std::make_unique<M>(loaded_fields<typename M::Options>(d));
  else if constexpr (std::constructible_from<M, const ModuleConfig&>)
    made = std::make_unique<M>(d);
  else
    made = std::make_unique<M>();
  if constexpr (requires(std::shared_ptr<Module> child) { made->push_back(child); })
    for (const auto& [name, child] : d.children) made->push_back(std::shared_ptr<Module>(make_module(child)));
  return made;
}

}  // namespace detail

/// Registers a kind for the whole process, from any thread. Throws ValueError for a kind that is already registered and
/// for an empty factory.
void register_module(std::string kind, ModuleFactory factory);
/// Makes M from the description: from its options if it is a LayerWith options, by a constructor from ModuleConfig if
/// it has one, else by default. A container gets the children by push_back.
template <std::derived_from<Module> M>
void register_module(std::string kind) {
  register_module(std::move(kind), detail::made_from_config<M>);
}
/// All kinds, sorted by name.
std::vector<std::string> registered_modules();

/// Makes the model that a checkpoint describes, with its states (in their dtype) and frozen leaves, in evaluation mode.
/// The rest of the file is read and ignored. If the file holds several models, `name` selects one. Throws IoError as
/// vg::load does, and ValueError for a kind that is not registered, for a module whose description differs from the
/// file's, and for states that are not the module's. Together, all layers of the table allocate at most 2^18 values
/// more than the file holds. Layers that share a state are made without sharing, so they are refused.
std::unique_ptr<Module> load_model(const std::filesystem::path& path, const std::string& name = {});

}  // namespace vg
