// Normalisations and activations by name, for blocks and nets with such an option.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "voxgrad/framework/nn/module.hpp"

namespace vg {

/// "batch" (its running statistics keep 0.9 per step), "group" (num_groups groups) or "instance", all with scale and
/// bias and PyTorch's epsilon of 1e-5. The layer is not built. Throws ValueError for another name; the message begins
/// with [where].
std::shared_ptr<Module> norm_by_name(std::string_view where, const std::string& name, std::int64_t num_groups = 8);
/// "relu", "leaky_relu" (slope 0.01), "elu", "gelu" (exact, by erf) or "silu". Throws ValueError for another name; the
/// message begins with [where].
std::shared_ptr<Module> activation_by_name(std::string_view where, const std::string& name);

}  // namespace vg
