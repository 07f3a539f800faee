// The products at the points of a tile that igemm and wgrad do not compute: those of groups, and the fused products of
// wide tiles (real-inl.hpp and complex-inl.hpp have the transforms). Included only by winograd/transforms/kernels.cpp;
// everything has internal linkage.
//
// Groups: the outputs of a group are one or a few vectors, and the sum over its inputs is short (8 terms with 8
// channels per group). One call per group would take longer than its products, so one call computes all groups and
// tiles of a point. A register tile is 8 tiles by one vector of outputs; inputs are broadcast from L1. With 32
// registers the weights of a group of 8 stay in registers for all tiles. Each tile then begins its sum one input after
// the previous tile, so that values loaded together lie in different banks of L1 (groups of 8, 32^3: 8.7 -> 8.1 ms).
//
// Fused products, with 32 vector registers: a register tile has all points along D of one number, for four tiles: seven
// points of a real number, or the six points of a PointPair of a complex number. So the inverse transform begins in
// registers: seven products become four outputs along D, and six products become four sums from which the outputs are
// computed. Per tile, 184 numbers go through memory instead of 292 products. The additions cost no time: they have
// execution ports of their own, and the products of the next tile begin meanwhile. (16 registers hold only two tiles.
// That would take one broadcast per product, more loads than can run in the same time.)
//
// Their transpose, in grad_weight: the transform of the gradient ends in registers. Just before the products, the four
// outputs of a number along D are transformed to its seven points (or the six points of a PointPair of a complex
// number). So 144 vectors per tile go through memory instead of 292. A register tile has all these points and four rows
// of weights, and sums over the tiles of a block. Each block of rows computes the points again, with additions that
// cost no time beside the products.
#pragma once

#include <cstdint>

#include "voxgrad/framework/kernels/direct/dense-inl.hpp"
#include "voxgrad/framework/kernels/winograd/transforms/real-inl.hpp"

namespace vg::kernels {
namespace {

// ---- products of groups -----------------------------------------------------------------------------------------

constexpr int group_tiles = 8, held_inputs = 8;

template <class T, int Tiles, class Io>
inline __attribute__((always_inline)) void group_tile(const ProductArgs<const T, T>& a, const T* v, const T* u, T* m,
                                                      const Io& io) {
  using S = Simd<T>;
  const std::int64_t v_ld = a.v_ld, u_ld = a.u_ld, m_ld = a.m_ld, in = a.in;
  typename S::V sum[Tiles];
#pragma GCC unroll 8
  for (int t = 0; t < Tiles; ++t) sum[t] = S::zero();
  for (std::int64_t k = 0; k < in; ++k, u += u_ld, ++v) {
    const typename S::V w = S::keep_in_register(S::load(u));
#pragma GCC unroll 8
    for (int t = 0; t < Tiles; ++t) sum[t] = S::fma(S::set1(v[t * v_ld]), w, sum[t]);
  }
#pragma GCC unroll 8
  for (int t = 0; t < Tiles; ++t) io.store(m + t * m_ld, sum[t]);
}

template <class T, class Io>
__attribute__((noinline)) void group_column(const ProductArgs<const T, T>& a, const T* v, const T* u, T* m,
                                            const Io& io) {
  std::int64_t t = 0;
  for (; t + group_tiles <= a.tiles; t += group_tiles)
    group_tile<T, group_tiles>(a, v + t * a.v_ld, u, m + t * a.m_ld, io);
  for (; t + 2 <= a.tiles; t += 2) group_tile<T, 2>(a, v + t * a.v_ld, u, m + t * a.m_ld, io);
  if (t < a.tiles) group_tile<T, 1>(a, v + t * a.v_ld, u, m + t * a.m_ld, io);
}

template <class T, int Tiles, class Io>
inline __attribute__((always_inline)) void held_tile(const ProductArgs<const T, T>& a, const T* v,
                                                     const typename Simd<T>::V (&w)[held_inputs], T* m, const Io& io) {
  using S = Simd<T>;
  const std::int64_t v_ld = a.v_ld, m_ld = a.m_ld;
  typename S::V sum[Tiles];
#pragma GCC unroll 8
  for (int t = 0; t < Tiles; ++t) sum[t] = S::zero();
#pragma GCC unroll 8
  for (int i = 0; i < held_inputs; ++i)
#pragma GCC unroll 8
    for (int t = 0; t < Tiles; ++t) {
      const int k = (i + t) % held_inputs;
      sum[t] = S::fma(S::set1(v[t * v_ld + k]), w[k], sum[t]);
    }
#pragma GCC unroll 8
  for (int t = 0; t < Tiles; ++t) io.store(m + t * m_ld, sum[t]);
}

template <class T, class Io>
__attribute__((noinline)) void held_column(const ProductArgs<const T, T>& a, const T* v, const T* u, T* m,
                                           const Io& io) {
  using S = Simd<T>;
  typename S::V w[held_inputs];
#pragma GCC unroll 8
  for (int k = 0; k < held_inputs; ++k) w[k] = S::keep_in_register(S::load(u + k * a.u_ld));
  std::int64_t t = 0;
  for (; t + group_tiles <= a.tiles; t += group_tiles)
    held_tile<T, group_tiles>(a, v + t * a.v_ld, w, m + t * a.m_ld, io);
  for (; t < a.tiles; ++t) held_tile<T, 1>(a, v + t * a.v_ld, w, m + t * a.m_ld, io);
}

template <class T>
void winograd_groups(const ProductArgs<const T, T>& a) {
  const bool held = Simd<T>::registers == 32 && a.in == held_inputs;
  for (std::int64_t g = 0; g < a.groups; ++g)
    each_vector<T>(a.out, [&](std::int64_t c, auto io) {
      const std::int64_t column = g * a.out + c;
      const auto run = held ? held_column<T, decltype(io)> : group_column<T, decltype(io)>;
      run(a, a.v + g * a.in, a.u + column, a.m + column, io);
    });
}

// ---- fused products ---------------------------------------------------------------------------------------------

template <class T>
constexpr bool folds = Simd<T>::registers == 32;

/// The pairs of points along an axis, in the order of stages (H), slices (W) and points (D). Fused products sum one
/// pair along D of a complex number, or `all_real`: all seven points of a real number.
enum class PointPair { plus_minus_1, zero_inf, plus_minus_i, all_real };

constexpr int fold_tiles = 4, fold_sums = 4;
constexpr int fold_points(PointPair f) { return f == PointPair::all_real ? 7 : 6; }

/// Computes a complex number from Gauss' three products.
template <class V>
inline __attribute__((always_inline)) void to_number(V k, V second, V third, V& re, V& im) {
  re = k - third;
  im = k + second;
}

/// Replaces four numbers by the complex numbers z and z' (complex-inl.hpp).
template <class V>
inline __attribute__((always_inline)) void to_complex(V& e00, V& e01, V& e10, V& e11) {
  const V re = e00 - e11, im = e01 + e10, re2 = e00 + e11, im2 = e10 - e01;
  e00 = re;
  e01 = im;
  e10 = re2;
  e11 = im2;
}

/// Twice the inverse of to_complex; the factor 1/2 is part of the weights.
template <class V>
inline __attribute__((always_inline)) void from_complex(V& re, V& im, V& re2, V& im2) {
  const V e00 = re + re2, e11 = re2 - re, e01 = im - im2, e10 = im + im2;
  re = e00;
  im = e01;
  re2 = e10;
  im2 = e11;
}

/// The four outputs from the values at six points.
template <class V>
inline __attribute__((always_inline)) void wide_outputs(const V (&m)[6], V (&y)[4]) {
  const V s = m[0] + m[1], t = m[0] - m[1];
  y[0] = s + m[2] + m[4];
  y[1] = t + m[5];
  y[2] = s - m[4];
  y[3] = t - m[5] + m[3];
}

/// Computes four sums from a tile's products m. For a real number they are the outputs along D. For a complex number
/// they are, at plus_minus_1, the sum and the difference of both points, first their real and then their imaginary
/// parts; at zero_inf, the real and imaginary parts at 0 and at infinity; at plus_minus_i, the parts of two complex
/// numbers.
template <PointPair F, class V>
inline __attribute__((always_inline)) void fold_products(const V (&m)[fold_points(F)], V (&sums)[fold_sums]) {
  if constexpr (F == PointPair::all_real) {
    V v[6] = {m[0], m[1], m[2], m[3]};
    to_number(m[4], m[5], m[6], v[4], v[5]);
    wide_outputs(v, sums);
  } else {
    V re, im, re2, im2;
    to_number(m[0], m[1], m[2], re, im);
    to_number(m[3], m[4], m[5], re2, im2);
    if constexpr (F == PointPair::plus_minus_1) {
      sums[0] = re + re2;
      sums[1] = re - re2;
      sums[2] = im + im2;
      sums[3] = im - im2;
      return;
    }
    if constexpr (F == PointPair::plus_minus_i) from_complex(re, im, re2, im2);
    sums[0] = re;
    sums[1] = im;
    sums[2] = re2;
    sums[3] = im2;
  }
}

/// Divides the lines to prefetch during a slice into small equal parts. Each line has to come from memory, and a few at
/// a time do not fill the queues.
class Prefetcher {
 public:
  Prefetcher(const PrefetchRange* begin, const PrefetchRange* end, std::int64_t lines, std::int64_t parts)
      : row_(begin), end_(end), part_((lines + parts - 1) / parts) {
    if (row_ != end_) at_ = row_->begin;
  }
  /// The address of the next part; `lines` is set to its number of consecutive lines.
  const char* begin_part(std::int64_t& lines) {
    const std::int64_t left = (row_ == end_ ? 0 : row_->end - at_ + 63) / 64;
    lines = left < part_ ? left : part_;
    const char* const at = at_;
    at_ += 64 * lines;
    if (lines == left && row_ != end_ && ++row_ != end_) at_ = row_->begin;
    return at;
  }

 private:
  const PrefetchRange *row_, *end_;
  const char* at_ = nullptr;
  std::int64_t part_;
};

template <PointPair F, int Tiles, class T, class Io>
__attribute__((noinline)) void fold_tile(const ProductArgs<const T, T>& a, const T* v, const T* u, T* m, const Io& io,
                                         const char* prefetch, std::int64_t lines) {
  using S = Simd<T>;
  using V = typename S::V;
  constexpr int points = fold_points(F);
  const std::int64_t v_ld = a.v_ld, v_point = a.v_point, u_ld = a.u_ld, u_point = a.u_point;
  V sum[Tiles][points];
#pragma GCC unroll 4
  for (int t = 0; t < Tiles; ++t)
#pragma GCC unroll 7
    for (int p = 0; p < points; ++p) sum[t][p] = S::zero();
  for (std::int64_t k = 0; k < a.in; ++k, ++v, u += u_ld) {
    const T *v_at = v, *u_at = u;
    if (k < lines) __builtin_prefetch(prefetch + 64 * k);
#pragma GCC unroll 7
    for (int p = 0; p < points; ++p) {
      const V w = S::keep_in_register(S::load(u_at));
#pragma GCC unroll 4
      for (int t = 0; t < Tiles; ++t) sum[t][p] = S::fma(S::set1(v_at[t * v_ld]), w, sum[t][p]);
      v_at = hide_from_optimizer(v_at + v_point);
      u_at = hide_from_optimizer(u_at + u_point);
    }
  }
#pragma GCC unroll 4
  for (int t = 0; t < Tiles; ++t) {
    V sums[fold_sums];
    fold_products<F>(sum[t], sums);
#pragma GCC unroll 4
    for (int j = 0; j < fold_sums; ++j) io.store(m + j * a.m_point + t * a.m_ld, sums[j]);
  }
}

/// Multiplies the points of F from v and u on, stores their sums from m on, and advances v, u and m.
template <PointPair F, class T>
inline void fold_groups(const ProductArgs<const T, T>& a, const T*& v, const T*& u, T*& m, Prefetcher& prefetcher) {
  for (std::int64_t g = 0; g < a.groups; ++g)
    each_vector<T>(a.out, [&](std::int64_t c, auto io) {
      const std::int64_t column = g * a.out + c;
      in_tiles<fold_tiles>(a.tiles, [&](std::int64_t t, auto tiles) {
        std::int64_t lines;
        const char* const prefetch = prefetcher.begin_part(lines);
        fold_tile<F, tiles.value>(a, v + g * a.in + t * a.v_ld, u + column, m + column + t * a.m_ld, io, prefetch,
                                  lines);
      });
    });
  v += fold_points(F) * a.v_point;
  u += fold_points(F) * a.u_point;
  m += fold_sums * a.m_point;
}

template <class T>
void winograd_fold(const ProductArgs<const T, T>& a) {
  const bool real = a.points == wide::real_points;
  const std::int64_t vectors = (a.out + Simd<T>::lanes - 1) / Simd<T>::lanes * a.groups;
  Prefetcher prefetcher(a.prefetch, a.prefetch_end, a.prefetch_lines,
                        (real ? 4 : 6) * vectors * ((a.tiles + fold_tiles - 1) / fold_tiles));
  const T *v = a.v, *u = a.u;
  T* m = a.m;
  for (int i = 0; i < (real ? 4 : 2); ++i)
    if (real) {
      fold_groups<PointPair::all_real>(a, v, u, m, prefetcher);
    } else {
      fold_groups<PointPair::plus_minus_1>(a, v, u, m, prefetcher);
      fold_groups<PointPair::zero_inf>(a, v, u, m, prefetcher);
      fold_groups<PointPair::plus_minus_i>(a, v, u, m, prefetcher);
    }
}

// ---- the transpose of fused products ----------------------------------------------------------------------------

constexpr int fold_rows = 4;
/// Number of input vectors of F: four outputs of a real number, or four of each part of a complex number.
constexpr int fold_inputs(PointPair f) { return f == PointPair::all_real ? 4 : 8; }

/// The transpose of to_number.
template <class V>
inline __attribute__((always_inline)) void from_number(V re, V im, V& k, V& second, V& third) {
  k = re + im;
  second = im;
  third = -re;
}

/// Transforms a gradient, whose output k along D is g[k] and whose imaginary part is g[4 + k], to the points of F.
template <PointPair F, class V>
inline __attribute__((always_inline)) void expand(const V (&g)[fold_inputs(F)], V (&e)[fold_points(F)]) {
  if constexpr (F == PointPair::all_real) {
    const V p = g[1] + g[3], q = g[0] + g[2];
    e[0] = q + p;
    e[1] = q - p;
    e[2] = g[0];
    e[3] = g[3];
    from_number(g[0] - g[2], g[1] - g[3], e[4], e[5], e[6]);
  } else if constexpr (F == PointPair::plus_minus_1) {
    const V p = g[1] + g[3], q = g[0] + g[2], p2 = g[5] + g[7], q2 = g[4] + g[6];
    from_number(q + p, q2 + p2, e[0], e[1], e[2]);
    from_number(q - p, q2 - p2, e[3], e[4], e[5]);
  } else if constexpr (F == PointPair::zero_inf) {
    from_number(g[0], g[4], e[0], e[1], e[2]);
    from_number(g[3], g[7], e[3], e[4], e[5]);
  } else {
    V re = g[0] - g[2], im = g[1] - g[3], re2 = g[4] - g[6], im2 = g[5] - g[7];
    to_complex(re, im, re2, im2);
    from_number(re, im, e[0], e[1], e[2]);
    from_number(re2, im2, e[3], e[4], e[5]);
  }
}

template <PointPair F, int Rows, class T>
__attribute__((noinline)) void sum_tile(const ProductArgs<T, const T>& a, const T* v, const T* g, T* u,
                                        const char* prefetch, std::int64_t lines) {
  using S = Simd<T>;
  using V = typename S::V;
  constexpr int points = fold_points(F), inputs = fold_inputs(F);
  const std::int64_t v_ld = a.v_ld, v_point = a.v_point, g_ld = a.m_ld, g_point = a.m_point;
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

template <PointPair F, class T>
inline void sum_rows(const ProductArgs<T, const T>& a, const T*& v, const T* g, T*& u, Prefetcher& prefetcher) {
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
void winograd_fold_sums(const ProductArgs<T, const T>& a) {
  const bool real = a.points == wide::real_points;
  const std::int64_t vectors = (a.out + Simd<T>::lanes - 1) / Simd<T>::lanes;
  Prefetcher prefetcher(a.prefetch, a.prefetch_end, a.prefetch_lines,
                        (real ? 4 : 6) * vectors * ((a.in + fold_rows - 1) / fold_rows));
  const T* v = a.v;
  T* u = a.u;
  for (int i = 0; i < 4; ++i) {
    const T* const g = a.m + i * 4 * a.m_point;
    if (real) {
      sum_rows<PointPair::all_real>(a, v, g, u, prefetcher);
    } else if (i % 2 == 0) {
      sum_rows<PointPair::plus_minus_1>(a, v, g, u, prefetcher);
      sum_rows<PointPair::zero_inf>(a, v, g, u, prefetcher);
      sum_rows<PointPair::plus_minus_i>(a, v, g, u, prefetcher);
    }
  }
}

}  // namespace
}  // namespace vg::kernels
