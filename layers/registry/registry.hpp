// From a description back to a model: a closed table of kinds, filled with all layers and with what a program
// registers. A description is plain data; what is not in the table is refused.
//
//   std::unique_ptr<vg::Module> model = vg::load_model("shapes.json");   // of this library's layers
//
//   vg::register_module<MyNet>("MyNet");                                  // a module of your own: its kind()
//   vg::register_module("Stem", [](const vg::ModuleConfig& d) { return std::make_unique<Stem>(channels_of(d)); });
#pragma once

#include <concepts>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "voxgrad/framework/nn/module.hpp"

namespace vg {

/// Makes a module whose description() is that one; its numbers are of no matter.
using ModuleFactory = std::function<std::unique_ptr<Module>(const ModuleConfig&)>;

/// Adds a kind, for the whole process and from any thread. Throws ValueError for one that is there already, and for an
/// empty factory.
void register_module(std::string kind, ModuleFactory factory);
/// M is made from the description if it has such a constructor, else by default.
template <std::derived_from<Module> M>
void register_module(std::string kind) {
  register_module(std::move(kind), [](const ModuleConfig& d) -> std::unique_ptr<Module> {
    if constexpr (std::constructible_from<M, const ModuleConfig&>)
      return std::make_unique<M>(d);
    else
      return std::make_unique<M>();
  });
}
/// All kinds, sorted.
std::vector<std::string> registered_modules();

/// The module of a description, parameters at zero: for the factories of modules with children. Throws ValueError that
/// names the kind or option that is not registered, missing or not allowed.
std::unique_ptr<Module> make_module(const ModuleConfig& description);

/// The model that a checkpoint describes, with its states (in their dtype), in evaluation mode. What else the file
/// holds is read and left. Throws IoError as vg::load, ValueError for a kind that is not registered, for a module that
/// does not describe itself as the file does, and for states that are not the module's; all
/// layers of the table together take memory for no more values than the file holds and 2^18 more. Layers that share a
/// state are made without sharing, so they are refused. Of a file with several models, the one of that name. What was
/// frozen is frozen.
std::unique_ptr<Module> load_model(const std::filesystem::path& path, const std::string& name = {});

}  // namespace vg
