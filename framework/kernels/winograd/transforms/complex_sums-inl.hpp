// Fused products of wide tiles in grad_weight, for instruction sets with 32 vector registers: the transpose of
// complex_products-inl.hpp. Included only by winograd/transforms/kernels.cpp; everything has internal linkage.
//
// The transform of the gradient ends in registers: just before the products, the four outputs of a number along D are
// transformed to its seven points (or the six points of a PointPair of a complex number). So 144 vectors per tile go
// through memory instead of 292. A register tile has all these points and four rows of weights, and sums over the tiles
// of a block. Each block of rows computes the points again, with additions that cost no time beside the products.
#pragma once

#include <cstdint>

#include "voxgrad/framework/kernels/winograd/transforms/complex_products-inl.hpp"

namespace vg::kernels {
namespace {

constexpr int fold_rows = 4;
/// Number of input vectors of a Fold: four outputs of a real number, or four of each part of a complex number.
constexpr int fold_inputs(Fold f) { return f == Fold::real ? 4 : 8; }

/// The transpose of to_number.
template <class V>
inline __attribute__((always_inline)) void from_number(V re, V im, V& k, V& second, V& third) {
  k = re + im;
  second = im;
  third = -re;
}

/// Transforms a gradient, whose output k along D is g[k] and whose imaginary part is g[4 + k], to the points of F.
template <Fold F, class V>
inline __attribute__((always_inline)) void expand(const V (&g)[fold_inputs(F)], V (&e)[fold_points(F)]) {
  if constexpr (F == Fold::real) {
    const V p = g[1] + g[3], q = g[0] + g[2];
    e[0] = q + p;
    e[1] = q - p;
    e[2] = g[0];
    e[3] = g[3];
    from_number(g[0] - g[2], g[1] - g[3], e[4], e[5], e[6]);
  } else if constexpr (F == Fold::plus_minus_1) {
    const V p = g[1] + g[3], q = g[0] + g[2], p2 = g[5] + g[7], q2 = g[4] + g[6];
    from_number(q + p, q2 + p2, e[0], e[1], e[2]);
    from_number(q - p, q2 - p2, e[3], e[4], e[5]);
  } else if constexpr (F == Fold::zero_inf) {
    from_number(g[0], g[4], e[0], e[1], e[2]);
    from_number(g[3], g[7], e[3], e[4], e[5]);
  } else {
    V re = g[0] - g[2], im = g[1] - g[3], re2 = g[4] - g[6], im2 = g[5] - g[7];
    to_complex(re, im, re2, im2);
    from_number(re, im, e[0], e[1], e[2]);
    from_number(re2, im2, e[3], e[4], e[5]);
  }
}

template <Fold F, int Rows, class T>
__attribute__((noinline)) void sum_tile(const FusedWgradArgs<T>& a, const T* v, const T* g, T* u, const char* prefetch,
                                        std::int64_t lines) {
  using S = Simd<T>;
  using V = typename S::V;
  constexpr int points = fold_points(F), inputs = fold_inputs(F);
  const std::int64_t v_ld = a.v_ld, v_point = a.v_point, g_ld = a.g_ld, g_point = a.g_point;
  V sum[points][Rows];
#pragma GCC unroll 7
  for (int p = 0; p < points; ++p)
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r) sum[p][r] = S::zero();
  for (std::int64_t t = 0; t < a.tiles; ++t, v += v_ld, g += g_ld) {
    if (t < lines) __builtin_prefetch(prefetch + 64 * t);
    V in[inputs], e[points];
    const T* g_at = g;
#pragma GCC unroll 8
    for (int k = 0; k < inputs; ++k) {
      in[k] = S::load(g_at);
      g_at = hide_from_optimizer(g_at + g_point);
    }
    expand<F>(in, e);
    const T* v_at = v;
#pragma GCC unroll 7
    for (int p = 0; p < points; ++p) {
#pragma GCC unroll 4
      for (int r = 0; r < Rows; ++r) sum[p][r] = S::fma(S::set1(v_at[r]), e[p], sum[p][r]);
      v_at = hide_from_optimizer(v_at + v_point);
    }
  }
#pragma GCC unroll 7
  for (int p = 0; p < points; ++p) {
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r) {
      T* const at = u + r * a.u_ld;
      S::store(at, a.first ? sum[p][r] : S::load(at) + sum[p][r]);
    }
    u = hide_from_optimizer(u + a.u_point);
  }
}

template <Fold F, class T>
inline void sum_rows(const FusedWgradArgs<T>& a, const T*& v, const T* g, T*& u, Prefetcher& prefetcher) {
  for (std::int64_t c = 0; c < a.out; c += Simd<T>::lanes)
    in_tiles<fold_rows>(a.in, [&](std::int64_t row, auto rows) {
      std::int64_t lines;
      const char* const prefetch = prefetcher.begin_part(lines);
      sum_tile<F, rows.value>(a, v + row, g + c, u + row * a.u_ld + c, prefetch, lines);
    });
  v += fold_points(F) * a.v_point;
  u += fold_points(F) * a.u_point;
}

template <class T>
void winograd_fold_sums(const FusedWgradArgs<T>& a) {
  const bool real = a.points == wide::real_points;
  const std::int64_t vectors = (a.out + Simd<T>::lanes - 1) / Simd<T>::lanes;
  Prefetcher prefetcher(a.prefetch, (real ? 4 : 6) * vectors * ((a.in + fold_rows - 1) / fold_rows));
  const T* v = a.v;
  T* u = a.u;
  for (int i = 0; i < 4; ++i) {
    const T* const g = a.g + i * 4 * a.g_point;
    if (real) {
      sum_rows<Fold::real>(a, v, g, u, prefetcher);
    } else if (i % 2 == 0) {
      sum_rows<Fold::plus_minus_1>(a, v, g, u, prefetcher);
      sum_rows<Fold::zero_inf>(a, v, g, u, prefetcher);
      sum_rows<Fold::plus_minus_i>(a, v, g, u, prefetcher);
    }
  }
}

}  // namespace
}  // namespace vg::kernels
