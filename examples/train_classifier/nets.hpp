// The zoo's classifiers by name, slimmed for small volumes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <voxgrad/voxgrad.hpp>

std::vector<std::string> net_names();
/// (H, W, D, C) -> class scores, with fresh weights of the default generator. `width` 0: the net's own. Throws
/// ValueError for a width where the net has a fixed one, and when the volume is too small for the net.
vg::Sequential make_net(const std::string& name, std::int64_t width, const vg::Size& in_size, std::int64_t classes);
