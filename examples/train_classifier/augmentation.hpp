// What is done to a training sample: a new one each time it is seen.
#pragma once

#include <string>
#include <vector>

#include <voxgrad/voxgrad.hpp>

std::vector<std::string> augmentation_names();
/// Empty for "none". `name` is one of augmentation_names().
vg::Transform augmentation(const std::string& name);
