// AVX512_BF16 on top of AVX-512: vdpbf16ps adds the products of 16 pairs to 16 floats. It treats denormal numbers as
// zero. Included only by kernels_avx512bf16.cpp. Everything has internal linkage.
#pragma once

#include "voxgrad/framework/kernels/common/kernel_table.hpp"
#include "voxgrad/framework/kernels/simd/avx512.hpp"

namespace vg::kernels {
namespace {

struct HalfPairs : HalfFloats {
  using HalfFloats::load_first;
  static V set1(Bf16Pair a) { return _mm256_castsi256_ps(_mm256_set1_epi32(static_cast<int>(a))); }
  static V load_first(const Bf16Pair* p, std::int64_t n) { return _mm256_maskz_loadu_ps(mask(n), p); }
  static V fma(V a, V b, V c) { return _mm256_dpbf16_ps(c, (__m256bh)a, (__m256bh)b); }
};

/// A V holds pairs if it is an operand, and floats if it is a sum.
template <>
struct Simd<Bf16Pair> : Simd<float> {
  using Floats = Simd<float>;
  using Half = HalfPairs;
  using Floats::load;
  using Floats::load_first;
  static V set1(Bf16Pair a) { return _mm512_castsi512_ps(_mm512_set1_epi32(static_cast<int>(a))); }
  static V load(const Bf16Pair* p) { return _mm512_loadu_ps(p); }
  static V load_first(const Bf16Pair* p, std::int64_t n) { return _mm512_maskz_loadu_ps(mask(n), p); }
  using Floats::store;
  using Floats::store_first;
  static void store(Bf16Pair* p, V a) { _mm512_storeu_ps(p, a); }
  static void store_first(Bf16Pair* p, V a, std::int64_t n) { _mm512_mask_storeu_ps(p, mask(n), a); }
  /// c + a b, where each lane adds both products of its pairs.
  static V fma(V a, V b, V c) { return _mm512_dpbf16_ps(c, (__m512bh)a, (__m512bh)b); }
  /// Pairs of neighbours among the 2 * lanes floats of low followed by high.
  static V adjacent(V low, V high) { return (V)_mm512_cvtne2ps_pbh(high, low); }
  /// Lane i is (a[i], b[i]).
  static V pair(V a, V b) {
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                                           21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_castsi512_ps(_mm512_permutexvar_epi16(order, _mm512_castps_si512(adjacent(a, b))));
  }
  /// Tracks whether all pairs so far are finite.
  using Finite = __mmask32;
  static Finite finite() { return 0; }
  static Finite finite(Finite before, V pairs) {
    const __m512i exponent = _mm512_set1_epi16(0x7f80);
    return before | _mm512_cmpeq_epi16_mask(_mm512_and_si512(_mm512_castps_si512(pairs), exponent), exponent);
  }
  static bool all(Finite f) { return f == 0; }
};

}  // namespace
}  // namespace vg::kernels
