// Counter-based random numbers: Threefry-2x32 with 20 rounds in JAX's partitionable scheme, so that a seed gives the
// same numbers as in brainstate. Each draw is a pure function of a key, so a stream can be saved and repeated by its
// key.
#pragma once

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "voxgrad/framework/base/tensor.hpp"

namespace vg::random {

using Key = std::array<std::uint32_t, 2>;

/// The key (0, seed) for a 32-bit seed. For a longer seed, the first word is its high half.
Key key_of(std::uint64_t seed);
std::vector<Key> split(const Key& key, int count = 2);
/// Writes 32 random bits for each of the elements [first, first + count) to `out`.
void bits(const Key& key, std::int64_t first, std::int64_t count, std::uint32_t* out);

/// Pure draws, computed in float32 as in brainstate and converted to `dtype`. Throws ValueError for invalid bounds.
Tensor uniform(const Key& key, const Shape& shape, double low = 0, double high = 1, DType dtype = f32);
Tensor normal(const Key& key, const Shape& shape, double mean = 0, double scale = 1, DType dtype = f32);
/// The standard normal distribution, truncated to [lower, upper].
Tensor truncated_normal(const Key& key, const Shape& shape, double lower, double upper, DType dtype = f32);
/// i32 values in [low, high), as jax.random.randint: 64 random bits modulo the range.
Tensor randint(const Key& key, const Shape& shape, std::int64_t low, std::int64_t high);
/// A permutation of [0, n), as jax.random.permutation.
std::vector<std::int64_t> permutation(const Key& key, std::int64_t n);

/// A stream of keys. Each next() splits the key in two: the first key becomes the state, the second is returned.
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

/// The generator from which initializers and Dropout draw unless they are given another. Each thread has its own.
Generator& default_generator();
/// Restarts the default generator from a seed, as brainstate.random.seed does.
void seed(std::uint64_t seed);
/// Makes another generator the default one of this thread for a scope.
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
