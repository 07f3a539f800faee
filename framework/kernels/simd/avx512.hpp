// AVX-512; no other file uses its intrinsics. Included by files that are compiled for it (target.hpp). Everything has
// internal linkage.
#pragma once

// g++ 12 warns of the undefined operands inside its own AVX-512 intrinsics, wherever these are inlined.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>

#include <cstdint>

namespace vg::kernels {
namespace {

template <class T>
struct Simd;

/// Whether there are non-temporal stores.
constexpr bool can_stream = true;
inline void stream_end() { _mm_sfence(); }

/// Half a vector of floats. Two operations on it take the time of one on a whole vector.
struct HalfFloats {
  using V = __m256;
  static constexpr int lanes = 8;
  static V zero() { return _mm256_setzero_ps(); }
  static V set1(float a) { return _mm256_set1_ps(a); }
  static __mmask8 mask(std::int64_t n) { return static_cast<__mmask8>((1U << n) - 1U); }
  /// The first n lanes, 0 <= n <= lanes.
  static V load_first(const float* p, std::int64_t n) { return _mm256_maskz_loadu_ps(mask(n), p); }
  static void store_first(float* p, V a, std::int64_t n) { _mm256_mask_storeu_ps(p, mask(n), a); }
  static V add(V a, V b) { return _mm256_add_ps(a, b); }
  static V fma(V a, V b, V c) { return _mm256_fmadd_ps(a, b, c); }
};

template <>
struct Simd<float> {
  using V = __m512;
  using Half = HalfFloats;
  static constexpr int lanes = 16;
  static constexpr int registers = 32;
  static V zero() { return _mm512_setzero_ps(); }
  static V set1(float a) { return _mm512_set1_ps(a); }
  static V load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, V a) { _mm512_storeu_ps(p, a); }
  /// A non-temporal store. p is aligned to a cache line. stream_end() comes after the last one.
  static void stream(float* p, V a) { _mm512_stream_ps(p, a); }
  static __mmask16 mask(std::int64_t n) { return static_cast<__mmask16>((1U << n) - 1U); }
  /// The first n lanes, 0 <= n <= lanes. The others are zero, and their memory is not touched.
  static V load_first(const float* p, std::int64_t n) { return _mm512_maskz_loadu_ps(mask(n), p); }
  static void store_first(float* p, V a, std::int64_t n) { _mm512_mask_storeu_ps(p, mask(n), a); }
  /// Keeps a in a register. Otherwise the compiler loads it again for each use, as a memory operand.
  static V keep_in_register(V a) {
    __asm__("" : "+v"(a));
    return a;
  }
  static V add(V a, V b) { return _mm512_add_ps(a, b); }
  static V fma(V a, V b, V c) { return _mm512_fmadd_ps(a, b, c); }
  static V least(V a, V b) { return _mm512_min_ps(a, b); }
  static V most(V a, V b) { return _mm512_max_ps(a, b); }
  using Index = __m512i;
  static Index index(const std::int32_t* p) { return _mm512_loadu_si512(p); }
  /// Lane i is lane index[i] of a, or of a followed by b.
  static V permute(V a, Index i) { return _mm512_permutexvar_ps(i, a); }
  static V permute(V a, V b, Index i) { return _mm512_permutex2var_ps(a, i, b); }
  /// out[i] = the sum of the lanes of v[i].
  static void sum4(const V* v, float* out) {
    const V ab = add(_mm512_unpacklo_ps(v[0], v[1]), _mm512_unpackhi_ps(v[0], v[1]));
    const V cd = add(_mm512_unpacklo_ps(v[2], v[3]), _mm512_unpackhi_ps(v[2], v[3]));
    const __m512d abd = _mm512_castps_pd(ab), cdd = _mm512_castps_pd(cd);
    const V s = add(_mm512_castpd_ps(_mm512_unpacklo_pd(abd, cdd)), _mm512_castpd_ps(_mm512_unpackhi_pd(abd, cdd)));
    const __m256 h = _mm256_add_ps(_mm512_castps512_ps256(s), _mm512_extractf32x8_ps(s, 1));
    _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1)));
  }
};

template <>
struct Simd<double> {
  using V = __m512d;
  static constexpr int lanes = 8;
  static constexpr int registers = 32;
  static V zero() { return _mm512_setzero_pd(); }
  static V set1(double a) { return _mm512_set1_pd(a); }
  static V load(const double* p) { return _mm512_loadu_pd(p); }
  static void store(double* p, V a) { _mm512_storeu_pd(p, a); }
  static void stream(double* p, V a) { _mm512_stream_pd(p, a); }
  static __mmask8 mask(std::int64_t n) { return static_cast<__mmask8>((1U << n) - 1U); }
  static V load_first(const double* p, std::int64_t n) { return _mm512_maskz_loadu_pd(mask(n), p); }
  static V widen(const double* p) { return load(p); }
  static V widen(const float* p) { return _mm512_cvtps_pd(_mm256_loadu_ps(p)); }
  static V widen_first(const double* p, std::int64_t n) { return load_first(p, n); }
  static V widen_first(const float* p, std::int64_t n) { return _mm512_cvtps_pd(_mm256_maskz_loadu_ps(mask(n), p)); }
  static void store_first(double* p, V a, std::int64_t n) { _mm512_mask_storeu_pd(p, mask(n), a); }
  static V keep_in_register(V a) {
    __asm__("" : "+v"(a));
    return a;
  }
  static V add(V a, V b) { return _mm512_add_pd(a, b); }
  using Index = __m512i;
  static Index index(const std::int32_t* p) {
    return _mm512_cvtepi32_epi64(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static V permute(V a, Index i) { return _mm512_permutexvar_pd(i, a); }
  static V permute(V a, V b, Index i) { return _mm512_permutex2var_pd(a, i, b); }
  static V sub(V a, V b) { return _mm512_sub_pd(a, b); }
  static V fma(V a, V b, V c) { return _mm512_fmadd_pd(a, b, c); }
  static V least(V a, V b) { return _mm512_min_pd(a, b); }
  static V most(V a, V b) { return _mm512_max_pd(a, b); }
  static void sum4(const V* v, double* out) {
    const V ab = add(_mm512_unpacklo_pd(v[0], v[1]), _mm512_unpackhi_pd(v[0], v[1]));
    const V cd = add(_mm512_unpacklo_pd(v[2], v[3]), _mm512_unpackhi_pd(v[2], v[3]));
    const __m256d h = _mm256_add_pd(_mm512_castpd512_pd256(ab), _mm512_extractf64x4_pd(ab, 1));
    const __m256d k = _mm256_add_pd(_mm512_castpd512_pd256(cd), _mm512_extractf64x4_pd(cd, 1));
    _mm_storeu_pd(out, _mm_add_pd(_mm256_castpd256_pd128(h), _mm256_extractf128_pd(h, 1)));
    _mm_storeu_pd(out + 2, _mm_add_pd(_mm256_castpd256_pd128(k), _mm256_extractf128_pd(k, 1)));
  }
};

}  // namespace
}  // namespace vg::kernels
