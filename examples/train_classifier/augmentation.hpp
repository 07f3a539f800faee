// Transforms of a training sample; they are drawn anew each time the sample is used.
#pragma once

#include <string>
#include <vector>

#include <voxgrad/voxgrad.hpp>

std::vector<std::string> augmentation_names();
/// The transform by name; empty for "none". `name` is one of augmentation_names().
vg::Transform augmentation(const std::string& name);
