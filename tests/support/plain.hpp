// Plain computations, index loops in double, for comparison in tests.
#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <vector>

#include "voxgrad/framework/base/tensor.hpp"

namespace vg::test {

using Index = std::vector<std::int64_t>;

/// Calls f for every index of a shape, in row-major order.
void each_index(const Shape& shape, const std::function<void(const Index&)>& f);
/// x at an index of a shape that x broadcasts to.
double at(const Tensor& x, const Index& index);
/// The f64 tensor of f(index).
Tensor build(const Shape& shape, const std::function<double(const Index&)>& f);

/// The value of a voxel of a volume (H, W, D) or (H, W, D, C).
double at(const Tensor& volume, std::int64_t i, std::int64_t j, std::int64_t k, std::int64_t c = 0);

/// The f64 vector of these values.
Tensor doubles(std::initializer_list<double> values);
/// Each element's value is its row-major number.
Tensor numbered(const Shape& shape, DType dtype = f32);
/// Fixed pseudo-random numbers in [low, high), integers for i32.
Tensor numbers(const Shape& shape, DType dtype, std::uint64_t seed, double low = -3, double high = 3);
/// A fixed pseudo-random sequence of integers.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed) {}
  std::int64_t roll(std::int64_t low, std::int64_t high);  ///< in [low, high]
 private:
  std::uint64_t state_;
};

/// The largest |a - b| / max(1, |b|); infinite if shapes differ or only one is NaN.
double distance(const Tensor& a, const Tensor& b);
/// Whether dtype, shape and bits are the same.
bool same_bits(const Tensor& a, const Tensor& b);

}  // namespace vg::test
