// Makes pairs of bf16 from floats, and the table of a set that multiplies them: the microkernels of f32, instantiated
// for pairs. Included only by kernels_avx512bf16.cpp and kernels_portable.cpp, after one simd/*bf16.hpp. Everything has
// internal linkage.
#pragma once

#include "voxgrad/framework/kernels/common/kernel_table.hpp"
#include "voxgrad/framework/kernels/direct/dense-inl.hpp"
#include "voxgrad/framework/kernels/direct/wgrad-inl.hpp"

namespace vg::kernels {
namespace {

using Pairs = Simd<Bf16Pair>;

/// The n < lanes floats at p, followed by zeros.
inline Pairs::V load_some(const float* p, std::int64_t n) { return n > 0 ? Pairs::load_first(p, n) : Pairs::zero(); }

void pair_row(std::int64_t n, const float* x, Bf16Pair* y) {
  constexpr int lanes = Pairs::lanes;
  for (; n >= 2 * lanes; n -= 2 * lanes, x += 2 * lanes, y += lanes)
    Pairs::store(y, Pairs::adjacent(Pairs::load(x), Pairs::load(x + lanes)));
  if (n == 0) return;
  const Pairs::V low = n >= lanes ? Pairs::load(x) : load_some(x, n);
  const Pairs::V high = n > lanes ? load_some(x + lanes, n - lanes) : Pairs::zero();
  const std::int64_t count = (n + 1) / 2;
  if (count == lanes)
    Pairs::store(y, Pairs::adjacent(low, high));
  else
    Pairs::store_first(y, Pairs::adjacent(low, high), count);
}

void pair_adjacent(std::int64_t rows, std::int64_t n, const float* x, Bf16Pair* y, std::int64_t y_step) {
  for (std::int64_t r = 0; r < rows; ++r, x += n, y += y_step) {
    pair_row(n, x, y);
    for (std::int64_t j = (n + 1) / 2; j < y_step; ++j) y[j] = Bf16Pair(0);
  }
}

template <bool HasA, bool HasB>
bool pair_rows(std::int64_t rows, std::int64_t n, const float* a, const float* b, std::int64_t step, Bf16Pair* y) {
  constexpr int lanes = Pairs::lanes;
  auto finite = Pairs::finite();
  for (std::int64_t r = 0; r < rows; ++r, y += n) {
    const float* const ar = HasA ? a + r * step : nullptr;
    const float* const br = HasB ? b + r * step : nullptr;
    std::int64_t j = 0;
    for (; j + lanes <= n; j += lanes) {
      const Pairs::V v =
          Pairs::pair(HasA ? Pairs::load(ar + j) : Pairs::zero(), HasB ? Pairs::load(br + j) : Pairs::zero());
      finite = Pairs::finite(finite, v);
      Pairs::store(y + j, v);
    }
    if (j == n) continue;
    const Pairs::V v =
        Pairs::pair(HasA ? load_some(ar + j, n - j) : Pairs::zero(), HasB ? load_some(br + j, n - j) : Pairs::zero());
    finite = Pairs::finite(finite, v);
    Pairs::store_first(y + j, v, n - j);
  }
  return Pairs::all(finite);
}

bool pair(std::int64_t rows, std::int64_t n, const float* a, const float* b, std::int64_t step, Bf16Pair* y) {
  if (a != nullptr && b != nullptr) return pair_rows<true, true>(rows, n, a, b, step, y);
  if (a != nullptr) return pair_rows<true, false>(rows, n, a, b, step, y);
  if (b != nullptr) return pair_rows<false, true>(rows, n, a, b, step, y);
  return pair_rows<false, false>(rows, n, a, b, step, y);
}

constexpr Bf16Kernels make_bf16_kernels(IgemmKernel<Bf16Pair> tiles) {
  Bf16Kernels t{};
  t.lanes = Pairs::lanes;
  t.igemm = igemm<Bf16Pair>;
  t.igemm_narrow = igemm_narrow<Bf16Pair>;
  t.wgrad = wgrad<Bf16Pair>;
  t.weight_lanes = weight_lanes<Bf16Pair>;
  t.wgrad_narrow = wgrad_narrow<Bf16Pair>;
  t.igemm_tiles = tiles;
  t.pair_adjacent = pair_adjacent;
  t.pair = pair;
  return t;
}

}  // namespace
}  // namespace vg::kernels
