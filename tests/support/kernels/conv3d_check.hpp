// Runs the three passes of Conv3d on memory of the pool, and compares the results with the expected ones.
#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "tests/support/kernels/naive_conv3d.hpp"
#include "voxgrad/framework/base/memory.hpp"

namespace vg::test {

/// A vector in a block of the pool; AddressSanitizer poisons the bytes past its end.
template <class T>
class Buffer {
 public:
  explicit Buffer(const std::vector<double>& values) : Buffer(static_cast<std::int64_t>(values.size())) {
    for (std::size_t i = 0; i < values.size(); ++i) data()[i] = static_cast<T>(values[i]);
  }
  explicit Buffer(std::int64_t n) : size_(n), memory_(n) {
    std::fill_n(data(), n, std::numeric_limits<T>::quiet_NaN());
  }
  T* data() { return memory_.data(); }
  std::vector<double> values() { return std::vector<double>(data(), data() + size_); }

 private:
  std::int64_t size_;
  vg::memory::Scratch<T> memory_;
};

/// Runs the three passes on T with these functions; outputs are NaN before.
template <class T, class Forward, class GradInput, class GradWeight>
NaiveConv3d run_passes(const Conv3dProblem& p, const std::vector<double>& x, const std::vector<double>& w,
                       const std::vector<double>& dy, const Forward& forward, const GradInput& grad_input,
                       const GradWeight& grad_weight) {
  Buffer<T> xb(x), wb(w), dyb(dy), y(y_size(p)), dx(x_size(p)), dw(w_size(p));
  forward(p, xb.data(), wb.data(), y.data());
  grad_input(p, dyb.data(), wb.data(), dx.data());
  grad_weight(p, xb.data(), dyb.data(), dw.data());
  return {y.values(), dx.values(), dw.values()};
}

/// The first index where a and b differ (two NaNs are equal), or -1.
inline std::int64_t first_difference(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size()) return 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a[i] != b[i] && !(std::isnan(a[i]) && std::isnan(b[i]))) return static_cast<std::int64_t>(i);
  return -1;
}

inline void check_equal(const NaiveConv3d& got, const NaiveConv3d& want) {
  CHECK(first_difference(got.y, want.y) == -1);
  CHECK(first_difference(got.dx, want.dx) == -1);
  CHECK(first_difference(got.dw, want.dw) == -1);
}

/// Whether each error is at most `tolerance` times the largest value (or 1), and NaNs are only at expected places.
inline bool is_close(const std::vector<double>& got, const std::vector<double>& want, double tolerance) {
  double largest = 1;
  for (const double v : want)
    if (std::isfinite(v)) largest = std::max(largest, std::abs(v));
  for (std::size_t i = 0; i < want.size(); ++i) {
    if (std::isnan(want[i]) ? std::isnan(got[i]) : std::abs(got[i] - want[i]) <= tolerance * largest) continue;
    return false;
  }
  return got.size() == want.size();
}

inline void check_close(const NaiveConv3d& got, const NaiveConv3d& want, double tolerance) {
  CHECK(is_close(got.y, want.y, tolerance));
  CHECK(is_close(got.dx, want.dx, tolerance));
  CHECK(is_close(got.dw, want.dw, tolerance));
}

}  // namespace vg::test
