// AMX's tiles in plain C++. They are slow and serve to test tiles-inl.hpp on any CPU. Included only by
// kernels_portable.cpp. Everything has internal linkage.
#pragma once

#include <cstdint>

#include "voxgrad/framework/kernels/common/kernel_table.hpp"

namespace vg::kernels {
namespace {

class PortableTiles {
 public:
  void configure(std::int64_t rows0, std::int64_t rows1, std::int64_t step) {
    const std::int64_t rows[8] = {rows0, rows0, rows1, rows1, rows0, rows1, step, step};
    for (int n = 0; n < 8; ++n) {
      rows_[n] = rows[n];
      columns_[n] = n == 4 || n == 5 ? step : 16;
    }
  }
  void release() {}
  template <int N>
  void zero() {
    for (auto& row : at_[N])
      for (std::uint32_t& v : row) v = 0;
  }
  template <int N>
  void load(const Bf16Pair* p, std::int64_t step) {
    zero<N>();
    for (std::int64_t r = 0; r < rows_[N]; ++r)
      __builtin_memcpy(at_[N][r], reinterpret_cast<const char*>(p) + r * step,
                       static_cast<std::size_t>(columns_[N]) * 4);
  }
  template <int C, int A, int B>
  void dot() {
    for (std::int64_t m = 0; m < rows_[C]; ++m)
      for (std::int64_t k = 0; k < columns_[A]; ++k)
        for (std::int64_t n = 0; n < columns_[C]; ++n) {
          const std::uint32_t a = at_[A][m][k], b = at_[B][k][n];
          const float sum = number(at_[C][m][n]) + number(a << 16) * number(b << 16);
          const float both = sum + number(a & 0xffff0000U) * number(b & 0xffff0000U);
          __builtin_memcpy(&at_[C][m][n], &both, 4);
        }
  }
  template <int C>
  void store(float* p, std::int64_t step) const {
    for (std::int64_t r = 0; r < rows_[C]; ++r)
      __builtin_memcpy(reinterpret_cast<char*>(p) + r * step, at_[C][r], static_cast<std::size_t>(columns_[C]) * 4);
  }

 private:
  static float number(std::uint32_t bits) {
    float f;
    __builtin_memcpy(&f, &bits, 4);
    return f;
  }
  std::uint32_t at_[8][16][16];
  std::int64_t rows_[8], columns_[8];
};

}  // namespace
}  // namespace vg::kernels
