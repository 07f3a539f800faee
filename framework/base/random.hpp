// Counter-based random numbers: Threefry-2x32 with 20 rounds in JAX's partitionable scheme, so that a seed draws what
// brainstate draws. A stream is (key), each draw is a pure function of a key, and so can be saved and repeated.
#pragma once

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "voxgrad/framework/base/tensor.hpp"

namespace vg::random {

using Key = std::array<std::uint32_t, 2>;

/// (0, seed) for a 32-bit seed; the high word of a longer one comes first.
Key key_of(std::uint64_t seed);
std::vector<Key> split(const Key& key, int count = 2);
/// 32 random bits of elements [first, first + count).
void bits(const Key& key, std::int64_t first, std::int64_t count, std::uint32_t* out);

/// Pure draws, computed in float32 as brainstate does and given in `dtype`.
Tensor uniform(const Key& key, const Shape& shape, double low = 0, double high = 1, DType dtype = f32);
Tensor normal(const Key& key, const Shape& shape, double mean = 0, double scale = 1, DType dtype = f32);
/// Standard normal cut at [lower, upper].
Tensor truncated_normal(const Key& key, const Shape& shape, double lower, double upper, DType dtype = f32);
/// i32 in [low, high), as jax.random.randint: 64 random bits modulo the range.
Tensor randint(const Key& key, const Shape& shape, std::int64_t low, std::int64_t high);
/// A permutation of [0, n), as jax.random.permutation.
std::vector<std::int64_t> permutation(const Key& key, std::int64_t n);

/// A stream: each next() splits the key in two; the first half becomes the state, the second is given out.
class Generator {
 public:
  explicit Generator(std::uint64_t seed = 0) : key_(key_of(seed)) {}
  explicit Generator(const Key& key) : key_(key) {}
  Key next();
  const Key& key() const { return key_; }
  void set_key(const Key& key) { key_ = key; }

 private:
  Key key_;
};

/// The generator that initializers and Dropout draw from unless told otherwise: one of the two globals (this thread's).
Generator& default_generator();
/// Restarts the default generator: brainstate.random.seed.
void seed(std::uint64_t seed);
/// Makes another generator the default one for a scope.
class GeneratorGuard {
 public:
  explicit GeneratorGuard(Generator& generator);
  ~GeneratorGuard();
  GeneratorGuard(const GeneratorGuard&) = delete;
  GeneratorGuard& operator=(const GeneratorGuard&) = delete;

 private:
  Generator* before_;
};

}  // namespace vg::random
