// The classifiers of the zoo by name, reduced for small volumes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <voxgrad/voxgrad.hpp>

std::vector<std::string> net_names();
/// A net from (H, W, D, C) to class scores, with new weights from the default generator. `width` 0 selects the net's
/// default. Throws ValueError if a width is given and the net has a fixed one, or if the volume is too small.
vg::Sequential make_net(const std::string& name, std::int64_t width, const vg::Size& in_size, std::int64_t classes);
