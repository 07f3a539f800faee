// The layers of this library by kind.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "voxgrad/framework/nn/fields.hpp"
#include "voxgrad/framework/nn/module.hpp"

namespace vg::registry {

struct LayerEntry {
  std::string kind;
  std::unique_ptr<Module> (*make)(const ModuleConfig&);
  std::vector<FieldInfo> (*fields)();  ///< the options with their defaults
};

/// All entries, sorted by kind.
std::span<const LayerEntry> layers();
/// The entry of a kind; null for a kind that is not in the table.
const LayerEntry* find_layer(std::string_view kind);

}  // namespace vg::registry
