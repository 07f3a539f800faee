// The layers of tests/golden/layers/*.json, by the names and arguments that those files use.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "voxgrad/framework/nn/module.hpp"

namespace vg::test::golden {

/// The module of a case; its states are not set yet. Null for a layer that voxgrad does not have.
std::shared_ptr<vg::Module> layer_of(const nlohmann::json& record);
/// The path and leaf of a state that the files call "weight", "depthwise.bias" or "running_mean".
std::pair<std::string, std::string> leaf_of(const std::string& name);

}  // namespace vg::test::golden
