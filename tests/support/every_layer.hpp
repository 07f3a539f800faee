// At least one module of each kind, with options that are not the defaults, and the shape of a valid input.
#pragma once

#include <memory>
#include <vector>

#include "voxgrad/framework/nn/module.hpp"

namespace vg::test {

struct LayerCase {
  std::shared_ptr<vg::Module> model;
  vg::Shape input;
};

std::vector<LayerCase> every_layer();

}  // namespace vg::test
