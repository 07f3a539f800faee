// Tensors by name, in an order: the contents of a weights file and the result of vg::state_dict.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "voxgrad/framework/base/tensor.hpp"

namespace vg {

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

/// Renames tensors: each pair replaces the name `first`, or the beginning `first` + "." of longer names, by `second`,
/// by the rules of LoadOptions::rename. Throws ValueError for a pair that matches no name, for two tensors of the same
/// new name, and for an empty new name.
///
///   vg::renamed(tensors, {{"", "net"}})        // "0.weight" -> "net.0.weight"
///   vg::renamed(tensors, {{"module", ""}})     // "module.0.weight" -> "0.weight"
NamedTensors renamed(const NamedTensors& tensors, const std::vector<std::pair<std::string, std::string>>& rename);

}  // namespace vg
