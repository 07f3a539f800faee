// Keys of keys: a stream of its own for each epoch, sample and purpose, so that no draw depends on the order of the
// others.
#pragma once

#include <cstdint>

#include "voxgrad/framework/base/random.hpp"

namespace vg {

/// The key number `index` (>= 0) under `key`: its random bits 2 * index and 2 * index + 1. Costs the same for any
/// index.
inline random::Key derive_key(const random::Key& key, std::int64_t index) {
  random::Key derived{};
  random::bits(key, 2 * index, 2, derived.data());
  return derived;
}

}  // namespace vg
