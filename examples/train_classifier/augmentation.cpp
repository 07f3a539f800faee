#include "train_classifier/augmentation.hpp"

#include <fmt/format.h>

namespace {

namespace augment = vg::augment;

vg::Sample shifted(const vg::Sample& sample, const vg::random::Key& key) {
  const auto keys = vg::random::split(key, 3);
  const vg::Sample moved = augment::random_shift(keys[0], sample, 2);
  return augment::random_noise(keys[2], augment::random_intensity(keys[1], moved, 0.1, 0.05), 0.05);
}

// A random flip of each axis and a rotation in each plane: each of the 48 poses of a cube is possible.
vg::Sample posed(const vg::Sample& sample, const vg::random::Key& key) {
  const auto keys = vg::random::split(key, 5);
  vg::Sample s = augment::random_flip(keys[0], sample, {0, 1, 2});
  s = augment::random_rotate90(keys[1], s, {0, 1});
  s = augment::random_rotate90(keys[2], s, {1, 2});
  s = augment::random_rotate90(keys[3], s, {0, 1});
  return shifted(s, keys[4]);
}

}  // namespace

std::vector<std::string> augmentation_names() { return {"none", "shift", "pose"}; }

vg::Transform augmentation(const std::string& name) {
  if (name == "none") return {};
  if (name == "shift") return shifted;
  if (name == "pose") return posed;
  throw vg::ValueError(fmt::format("[train_classifier] --augment: got {}; must be one of {}", name,
                                   fmt::join(augmentation_names(), ", ")));
}
