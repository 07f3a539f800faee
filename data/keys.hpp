// Keys derived from keys: each epoch, sample and purpose has its own stream, so that no draw depends on the order of
// other draws.
#pragma once

#include <cstdint>

#include "voxgrad/framework/base/random.hpp"

namespace vg::random {

/// The key number `index` (>= 0) under `key`, which consists of its random bits 2 * index and 2 * index + 1. The cost
/// does not depend on the index.
inline Key fold_in(const Key& key, std::int64_t index) {
  Key derived{};
  bits(key, 2 * index, 2, derived.data());
  return derived;
}

}  // namespace vg::random
