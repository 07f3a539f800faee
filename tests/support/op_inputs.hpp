// Inputs of ops' tests, and the error that rounding explains.
#pragma once

#include <limits>

#include "support/plain.hpp"
#include "voxgrad/framework/autograd/variable.hpp"

namespace vg::test {

inline constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

inline double tolerance(DType dtype) { return dtype == f64 ? 1e-12 : 1e-5; }
inline Variable leaf(const Shape& shape, DType dtype, std::uint64_t seed) {
  return Variable(numbers(shape, dtype, seed), true);
}

/// Labels of `classes` classes; with `ignore`, every fifth is `ignored`.
inline Tensor labels_for(const Shape& shape, std::int32_t classes, std::int32_t ignored = 0, bool ignore = false) {
  Tensor t(shape, i32);
  for (std::int64_t i = 0; i < t.numel(); ++i)
    t.data<std::int32_t>()[i] = ignore && i % 5 == 0 ? ignored : static_cast<std::int32_t>((i * i + i / 3) % classes);
  return t;
}

}  // namespace vg::test
