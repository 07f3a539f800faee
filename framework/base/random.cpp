#include "voxgrad/framework/base/random.hpp"

#include <Random123/threefry.h>
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/fast_math.hpp"
#include "voxgrad/framework/base/threads.hpp"

namespace vg::random {

namespace {

constexpr std::int64_t grain = 1 << 14;  // elements per task
constexpr std::int64_t chunk = 1 << 10;  // elements whose bits are buffered on the stack
constexpr float sqrt2 = 1.41421356237309504880f;

// Threefry-2x32-20 of the 64-bit counter i, high word first. This is JAX's partitionable scheme.
inline threefry2x32_ctr_t block(const Key& key, std::int64_t i) {
  const auto u = static_cast<std::uint64_t>(i);
  const threefry2x32_ctr_t counter{{static_cast<std::uint32_t>(u >> 32), static_cast<std::uint32_t>(u)}};
  const threefry2x32_key_t k{{key[0], key[1]}};
  return threefry2x32_R(20, counter, k);
}

// [0, 1) in steps of 2^-23: the bits become the mantissa of a number in [1, 2).
inline float unit_float(std::uint32_t bits) { return std::bit_cast<float>(bits >> 9 | 0x3f800000u) - 1.0f; }

// jax.random.uniform's scaling. The max corrects values that rounding has pushed below `low`.
inline float scaled(float u, float low, float span) { return std::max(low, u * span + low); }

// The polynomials are from M. Giles, "Approximating the erfinv function" (2010), single precision, as in XLA.
constexpr float central[] = {2.81022636e-08f, 3.43273939e-07f, -3.5233877e-06f, -4.39150654e-06f, 0.00021858087f,
                             -0.00125372503f, -0.00417768164f, 0.246640727f,    1.50140941f};
constexpr float tail[] = {-0.000200214257f, 0.000100950558f, 0.00134934322f, -0.00367342844f, 0.00573950773f,
                          -0.0076224613f,   0.00943887047f,  1.00167406f,    2.83297682f};

inline float polynomial(const float (&c)[9], float t) {
  float p = c[0];
  for (int i = 1; i < 9; ++i) p = c[i] + p * t;
  return p;
}

// x[i] = erfinv(x[i]) for |x| < 1, n <= chunk. 1 - x * x is exact for large |x|; for small |x|, only the absolute
// accuracy of w = -log1p(-x * x) matters.
void erfinv(float* x, std::int64_t n) {
  float w[chunk];
  for (std::int64_t i = 0; i < n; ++i) w[i] = -detail::fast_log(1.0f - x[i] * x[i]);
  bool far = false;
  float y[chunk];
  for (std::int64_t i = 0; i < n; ++i) y[i] = polynomial(central, w[i] - 2.5f) * x[i];
  for (std::int64_t i = 0; i < n; ++i) far |= w[i] >= 5.0f;
  for (std::int64_t i = 0; i < n && far; ++i)  // one element in 300
    if (w[i] >= 5.0f) y[i] = polynomial(tail, std::sqrt(w[i]) - 3.0f) * x[i];
  std::copy_n(y, n, x);
}

// Draws in [low, low + span), where rounding may change span, and converts them to a tensor of `dtype`. finish(float*
// draws, n) transforms the draws in place; n <= chunk.
template <class F>
Tensor draw(std::string_view where, const Key& key, const Shape& shape, DType dtype, float low, float span, F finish) {
  return dispatch_float(where, dtype, [&](auto type) {
    using T = decltype(type);
    Tensor out(shape, dtype);
    T* to = out.data<T>();
    parallel_ranges(out.numel(), grain, [&](std::int64_t begin, std::int64_t end) {
      std::uint32_t raw[chunk];
      float drawn[chunk];
      for (std::int64_t i = begin; i < end; i += chunk) {
        const std::int64_t n = std::min(chunk, end - i);
        bits(key, i, n, raw);
        for (std::int64_t j = 0; j < n; ++j) drawn[j] = scaled(unit_float(raw[j]), low, span);
        finish(drawn, n);
        for (std::int64_t j = 0; j < n; ++j) to[i + j] = static_cast<T>(drawn[j]);
      }
    });
    out.storage()->pointers_dropped();
    return out;
  });
}

}  // namespace

Key key_of(std::uint64_t seed) { return {static_cast<std::uint32_t>(seed >> 32), static_cast<std::uint32_t>(seed)}; }

std::vector<Key> split(const Key& key, int count) {
  if (count < 0) throw ValueError(fmt::format("[random.split] count: got {}; must be at least 0", count));
  std::vector<Key> keys(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) {
    const auto b = block(key, i);
    keys[static_cast<std::size_t>(i)] = {b.v[0], b.v[1]};
  }
  return keys;
}

void bits(const Key& key, std::int64_t first, std::int64_t count, std::uint32_t* out) {
  const Key own = key;  // a local copy cannot alias `out`, so the loop vectorises
  for (std::int64_t i = 0; i < count; ++i) {
    const auto b = block(own, first + i);
    out[i] = b.v[0] ^ b.v[1];
  }
}

Tensor uniform(const Key& key, const Shape& shape, double low, double high, DType dtype) {
  if (!(low <= high) || !std::isfinite(low) || !std::isfinite(high))
    throw ValueError(fmt::format("[random.uniform] low, high: got {}, {}; must be finite and low <= high", low, high));
  const float from = static_cast<float>(low), span = static_cast<float>(high) - from;
  return draw("random.uniform", key, shape, dtype, from, span, [](float*, std::int64_t) {});
}

Tensor normal(const Key& key, const Shape& shape, double mean, double scale, DType dtype) {
  if (!std::isfinite(mean) || !std::isfinite(scale))
    throw ValueError(fmt::format("[random.normal] mean, scale: got {}, {}; must be finite", mean, scale));
  const float low = std::nextafter(-1.0f, 0.0f), span = 1.0f - low;
  const float m = static_cast<float>(mean), s = static_cast<float>(scale);
  return draw("random.normal", key, shape, dtype, low, span, [=](float* x, std::int64_t n) {
    erfinv(x, n);
    for (std::int64_t i = 0; i < n; ++i) x[i] = sqrt2 * x[i] * s + m;
  });
}

// As brainstate does: draws uniformly, in float32, just inside (2 cdf(lower) - 1, 2 cdf(upper) - 1), and clips to just
// inside the bounds.
Tensor truncated_normal(const Key& key, const Shape& shape, double lower, double upper, DType dtype) {
  if (!(lower < upper))
    throw ValueError(
        fmt::format("[random.truncated_normal] lower, upper: got {}, {}; must be lower < upper", lower, upper));
  constexpr float inf = std::numeric_limits<float>::infinity();
  const float lo = static_cast<float>(lower), hi = static_cast<float>(upper);
  const auto cdf = [](float x) { return (1.0f + std::erf(x / sqrt2)) / 2.0f; };
  const float low = std::nextafter(2.0f * cdf(lo) - 1.0f, inf);
  const float span = std::nextafter(2.0f * cdf(hi) - 1.0f, -inf) - low;
  const float least = std::nextafter(lo, inf), most = std::nextafter(hi, -inf);
  return draw("random.truncated_normal", key, shape, dtype, low, span, [=](float* x, std::int64_t n) {
    erfinv(x, n);
    for (std::int64_t i = 0; i < n; ++i) x[i] = std::min(std::max(sqrt2 * x[i], least), most);
  });
}

// As jax.random.randint: two draws make 64 bits, which are taken modulo the range, with a bias below range / 2^64. For
// a range over 2^16 JAX's 32-bit product is 0, so only the second draw counts and the bias is below range / 2^32.
Tensor randint(const Key& key, const Shape& shape, std::int64_t low, std::int64_t high) {
  constexpr std::int64_t least = std::numeric_limits<std::int32_t>::min(),
                         most = std::numeric_limits<std::int32_t>::max();
  if (low >= high || low < least || high > most)
    throw ValueError(
        fmt::format("[random.randint] low, high: got {}, {}; must be 32-bit integers and low < high", low, high));
  const std::vector<Key> keys = split(key);
  const auto range = static_cast<std::uint32_t>(high - low);
  const std::uint32_t half = (1u << 16) % range;
  const std::uint32_t factor = half * half % range;
  Tensor out(shape, i32);
  auto* to = out.data<std::int32_t>();
  parallel_ranges(out.numel(), grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const auto a = block(keys[0], i), b = block(keys[1], i);
      const std::uint32_t offset = ((a.v[0] ^ a.v[1]) % range * factor + (b.v[0] ^ b.v[1]) % range) % range;
      to[i] = static_cast<std::int32_t>(low + static_cast<std::int64_t>(offset));
    }
  });
  out.storage()->pointers_dropped();
  return out;
}

// As jax.random.permutation: stable sorts by 32 random bits, repeated until equal sort keys are unlikely to matter.
std::vector<std::int64_t> permutation(const Key& key, std::int64_t n) {
  if (n < 0) throw ValueError(fmt::format("[random.permutation] n: got {}; must be at least 0", n));
  const auto size = static_cast<std::size_t>(n);
  std::vector<std::int64_t> order(size), sorted(size);
  std::iota(order.begin(), order.end(), std::int64_t{0});
  const double rounds = std::ceil(3 * std::log(static_cast<double>(std::max<std::int64_t>(1, n))) /
                                  std::log(static_cast<double>(std::numeric_limits<std::uint32_t>::max())));
  Key state = key;
  std::vector<std::uint32_t> sort_keys(size);
  std::vector<std::size_t> by(size);
  for (int round = 0; round < static_cast<int>(rounds); ++round) {
    const std::vector<Key> keys = split(state);
    state = keys[0];
    bits(keys[1], 0, n, sort_keys.data());
    std::iota(by.begin(), by.end(), std::size_t{0});
    std::stable_sort(by.begin(), by.end(), [&](std::size_t a, std::size_t b) { return sort_keys[a] < sort_keys[b]; });
    for (std::size_t i = 0; i < size; ++i) sorted[i] = order[by[i]];
    order.swap(sorted);
  }
  return order;
}

Key Generator::next() {
  const std::vector<Key> keys = split(key_);
  key_ = keys[0];
  return keys[1];
}

namespace {
Generator*& current() {
  thread_local Generator own{0};
  thread_local Generator* generator = &own;
  return generator;
}
}  // namespace

Generator& default_generator() { return *current(); }
void seed(std::uint64_t seed) { default_generator().set_key(key_of(seed)); }

GeneratorGuard::GeneratorGuard(Generator& generator) : before_(current()) { current() = &generator; }
GeneratorGuard::~GeneratorGuard() { current() = before_; }

}  // namespace vg::random
