// Vectors for any CPU: four floats or two doubles in the compiler's portable vectors, which it lowers to the target's
// baseline (SSE2 on x86-64). Included by files that are compiled for it (target.hpp). Everything has internal linkage.
#pragma once

#include <cstdint>

namespace vg::kernels {
namespace {

template <class T>
struct PortableVector;
template <>
struct PortableVector<float> {
  typedef float type __attribute__((vector_size(16)));
};
template <>
struct PortableVector<double> {
  typedef double type __attribute__((vector_size(16)));
};

constexpr bool can_stream = false;
inline void stream_end() {}

template <class T>
struct Simd {
  using V = typename PortableVector<T>::type;
  static constexpr int lanes = 16 / sizeof(T);
  static constexpr int registers = 16;
  static V zero() { return V{}; }
  static V set1(T a) { return V{} + a; }
  static V load(const T* p) {
    V a;
    __builtin_memcpy(&a, p, sizeof a);
    return a;
  }
  static void stream(T* p, V a) { store(p, a); }
  static void store(T* p, V a) { __builtin_memcpy(p, &a, sizeof a); }
  /// The first n lanes, 0 <= n <= lanes. The others are zero, and their memory is not touched.
  static V load_first(const T* p, std::int64_t n) {
    V a{};
    for (std::int64_t i = 0; i < n; ++i) a[i] = p[i];
    return a;
  }
  static void store_first(T* p, V a, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) p[i] = a[i];
  }
  static V keep_in_register(V a) { return a; }
  template <class From>
  static V widen(const From* p) {
    V a;
    for (int i = 0; i < lanes; ++i) a[i] = static_cast<T>(p[i]);
    return a;
  }
  template <class From>
  static V widen_first(const From* p, std::int64_t n) {
    V a{};
    for (std::int64_t i = 0; i < n; ++i) a[i] = static_cast<T>(p[i]);
    return a;
  }
  static V sub(V a, V b) { return a - b; }
  static V add(V a, V b) { return a + b; }
  static V fma(V a, V b, V c) { return a * b + c; }
  static V least(V a, V b) { return a < b ? a : b; }
  static V most(V a, V b) { return a > b ? a : b; }
  struct Index {
    std::int32_t at[lanes];
  };
  static Index index(const std::int32_t* p) {
    Index i;
    for (int l = 0; l < lanes; ++l) i.at[l] = p[l];
    return i;
  }
  /// Lane i is lane index[i] of a, or of a followed by b.
  static V permute(V a, Index i) {
    V r;
    for (int l = 0; l < lanes; ++l) r[l] = a[i.at[l]];
    return r;
  }
  static V permute(V a, V b, Index i) {
    V r;
    for (int l = 0; l < lanes; ++l) r[l] = i.at[l] < lanes ? a[i.at[l]] : b[i.at[l] - lanes];
    return r;
  }
  /// out[i] = the sum of the lanes of v[i].
  static void sum4(const V* v, T* out) {
    for (int i = 0; i < 4; ++i) {
      T s = v[i][0];
      for (int j = 1; j < lanes; ++j) s += v[i][j];
      out[i] = s;
    }
  }
};

}  // namespace
}  // namespace vg::kernels
