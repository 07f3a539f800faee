// Tensors by name, in an order: what a file of weights holds, and what vg::state_dict gives.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "voxgrad/framework/base/tensor.hpp"

namespace vg {

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

/// The same tensors under other names: each pair replaces the name `first`, or the beginning `first` + "." of longer
/// ones, by `second`, by the rules of LoadOptions::rename. Throws ValueError for a pair that no name begins with, and
/// when two tensors would have one name or one would have none.
///
///   vg::renamed(tensors, {{"", "net"}})        // "0.weight" -> "net.0.weight"
///   vg::renamed(tensors, {{"module", ""}})     // "module.0.weight" -> "0.weight"
NamedTensors renamed(const NamedTensors& tensors, const std::vector<std::pair<std::string, std::string>>& rename);

}  // namespace vg
