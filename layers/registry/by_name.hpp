// Normalisations and activations by name, for blocks and nets that let one choose.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "voxgrad/framework/nn/module.hpp"

namespace vg {

/// "batch" (running statistics that keep 0.9 a step), "group" (of num_groups) or "instance", all with scale and bias
/// and PyTorch's epsilon of 1e-5; not built. Throws ValueError, beginning with [where], for another name.
std::shared_ptr<Module> norm_by_name(std::string_view where, const std::string& name, std::int64_t num_groups = 8);
/// "relu", "leaky_relu" (0.01), "elu", "gelu" (by erf) or "silu". Throws ValueError, beginning with [where], for
/// another name.
std::shared_ptr<Module> activation_by_name(std::string_view where, const std::string& name);

}  // namespace vg
