// AVX2 with FMA; no other file uses its intrinsics. Included by files that are compiled for it (target.hpp). Everything
// has internal linkage.
#pragma once

#include <immintrin.h>

#include <cstdint>

#ifndef VOXGRAD_SIMD_REGISTERS  // half vectors of AVX-512 have 32 (cmake/kernels.cmake)
#define VOXGRAD_SIMD_REGISTERS 16
#endif

namespace vg::kernels {
namespace {

template <class T>
struct Simd;

// The n leading lanes of a mask begin at mask_window + 8 - n.
alignas(64) const std::int32_t mask_window[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
alignas(64) const std::int64_t mask_window64[8] = {-1, -1, -1, -1, 0, 0, 0, 0};

constexpr bool can_stream = true;
inline void stream_end() { _mm_sfence(); }

template <>
struct Simd<float> {
  using V = __m256;
  static constexpr int lanes = 8;
  static constexpr int registers = VOXGRAD_SIMD_REGISTERS;
  static V zero() { return _mm256_setzero_ps(); }
  static V set1(float a) { return _mm256_set1_ps(a); }
  static V load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, V a) { _mm256_storeu_ps(p, a); }
  /// A non-temporal store. p is aligned to a vector, and the other half of its line is stored next. stream_end() comes
  /// after the last one.
  static void stream(float* p, V a) { _mm256_stream_ps(p, a); }
  static __m256i mask(std::int64_t n) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(mask_window + 8 - n));
  }
  /// The first n lanes, 0 <= n <= lanes. The others are zero, and their memory is not touched.
  static V load_first(const float* p, std::int64_t n) { return _mm256_maskload_ps(p, mask(n)); }
  static void store_first(float* p, V a, std::int64_t n) { _mm256_maskstore_ps(p, mask(n), a); }
  /// Keeps a in a register. Otherwise the compiler loads it again for each use, as a memory operand.
  static V keep_in_register(V a) {
    __asm__("" : "+v"(a));
    return a;
  }
  static V add(V a, V b) { return _mm256_add_ps(a, b); }
  static V fma(V a, V b, V c) { return _mm256_fmadd_ps(a, b, c); }
  static V least(V a, V b) { return _mm256_min_ps(a, b); }
  static V most(V a, V b) { return _mm256_max_ps(a, b); }
  using Index = __m256i;
  static Index index(const std::int32_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  /// Lane i is lane index[i] of a, or of a followed by b.
  static V permute(V a, Index i) { return _mm256_permutevar8x32_ps(a, i); }
  static V permute(V a, V b, Index i) {  // bit 3 of an index selects b
    return _mm256_blendv_ps(permute(a, i), permute(b, i), _mm256_castsi256_ps(_mm256_slli_epi32(i, 28)));
  }
  /// out[i] = the sum of the lanes of v[i].
  static void sum4(const V* v, float* out) {
    const V s = _mm256_hadd_ps(_mm256_hadd_ps(v[0], v[1]), _mm256_hadd_ps(v[2], v[3]));
    _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1)));
  }
};

template <>
struct Simd<double> {
  using V = __m256d;
  static constexpr int lanes = 4;
  static constexpr int registers = VOXGRAD_SIMD_REGISTERS;
  static V zero() { return _mm256_setzero_pd(); }
  static V set1(double a) { return _mm256_set1_pd(a); }
  static V load(const double* p) { return _mm256_loadu_pd(p); }
  static void store(double* p, V a) { _mm256_storeu_pd(p, a); }
  static void stream(double* p, V a) { _mm256_stream_pd(p, a); }
  static __m256i mask(std::int64_t n) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(mask_window64 + 4 - n));
  }
  static V load_first(const double* p, std::int64_t n) { return _mm256_maskload_pd(p, mask(n)); }
  static V widen(const double* p) { return load(p); }
  static V widen(const float* p) { return _mm256_cvtps_pd(_mm_loadu_ps(p)); }
  static V widen_first(const double* p, std::int64_t n) { return load_first(p, n); }
  static V widen_first(const float* p, std::int64_t n) {
    const __m128i m = _mm_loadu_si128(reinterpret_cast<const __m128i*>(mask_window + 8 - n));
    return _mm256_cvtps_pd(_mm_maskload_ps(p, m));
  }
  static void store_first(double* p, V a, std::int64_t n) { _mm256_maskstore_pd(p, mask(n), a); }
  static V keep_in_register(V a) {
    __asm__("" : "+v"(a));
    return a;
  }
  static V add(V a, V b) { return _mm256_add_pd(a, b); }
  using Index = __m256i;  // of pairs of 32-bit lanes: AVX2 cannot permute doubles by a variable
  static Index index(const std::int32_t* p) {
    const __m256i i = _mm256_cvtepi32_epi64(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    const __m256i low = _mm256_slli_epi64(i, 1);
    return _mm256_or_si256(low, _mm256_slli_epi64(_mm256_add_epi64(low, _mm256_set1_epi64x(1)), 32));
  }
  static V permute(V a, Index i) { return _mm256_castps_pd(_mm256_permutevar8x32_ps(_mm256_castpd_ps(a), i)); }
  static V permute(V a, V b, Index i) {
    return _mm256_blendv_pd(permute(a, i), permute(b, i), _mm256_castsi256_pd(_mm256_slli_epi32(i, 28)));
  }
  static V sub(V a, V b) { return _mm256_sub_pd(a, b); }
  static V fma(V a, V b, V c) { return _mm256_fmadd_pd(a, b, c); }
  static V least(V a, V b) { return _mm256_min_pd(a, b); }
  static V most(V a, V b) { return _mm256_max_pd(a, b); }
  static void sum4(const V* v, double* out) {
    const V ab = _mm256_hadd_pd(v[0], v[1]), cd = _mm256_hadd_pd(v[2], v[3]);
    _mm_storeu_pd(out, _mm_add_pd(_mm256_castpd256_pd128(ab), _mm256_extractf128_pd(ab, 1)));
    _mm_storeu_pd(out + 2, _mm_add_pd(_mm256_castpd256_pd128(cd), _mm256_extractf128_pd(cd, 1)));
  }
};

}  // namespace
}  // namespace vg::kernels
