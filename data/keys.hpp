// Keys of keys: a stream of its own for each epoch, sample and purpose, so that no draw depends on the order of the
// others.
#pragma once

#include <cstdint>

#include "voxgrad/framework/base/random.hpp"

namespace vg::random {

/// The key number `index` (>= 0) under `key`: its random bits 2 * index and 2 * index + 1. Costs the same for any
/// index.
inline Key fold_in(const Key& key, std::int64_t index) {
  Key derived{};
  bits(key, 2 * index, 2, derived.data());
  return derived;
}

}  // namespace vg::random
