// What a file of weights holds: tensors by name, in an order.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "framework/tensor.hpp"

namespace vg {

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

}  // namespace vg
