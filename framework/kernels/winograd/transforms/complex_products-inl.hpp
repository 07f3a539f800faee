// Fused products of wide tiles, for instruction sets with 32 vector registers (complex-inl.hpp has the transforms).
// Included only by winograd/transforms/kernels.cpp; everything has internal linkage.
//
// A register tile has all points along D of one number, for four tiles: seven points of a real number, or the six
// points of a PointPair of a complex number. So the inverse transform begins in registers: seven products become four
// outputs along D, and six products become four sums from which the outputs are computed. Per tile, 184 numbers go
// through memory instead of 292 products. The additions cost no time: they have execution ports of their own, and the
// products of the next tile begin meanwhile. (16 registers hold only two tiles. That would take one broadcast per
// product, more loads than can run in the same time.)
#pragma once

#include <cstdint>

#include "voxgrad/framework/kernels/direct/dense-inl.hpp"
#include "voxgrad/framework/kernels/winograd/transforms/real-inl.hpp"
#include "voxgrad/framework/kernels/winograd/transforms/wide_slices.hpp"

namespace vg::kernels {
namespace {

template <class T>
constexpr bool folds = Simd<T>::registers == 32;

/// The points whose products are summed together: all points along D of a real number, or one PointPair of a complex
/// one.
enum class Fold { real, plus_minus_1, zero_inf, plus_minus_i };

constexpr int fold_tiles = 4, fold_sums = 4;
constexpr int fold_points(Fold f) { return f == Fold::real ? 7 : 6; }

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
template <Fold F, class V>
inline __attribute__((always_inline)) void fold_products(const V (&m)[fold_points(F)], V (&sums)[fold_sums]) {
  if constexpr (F == Fold::real) {
    V v[6] = {m[0], m[1], m[2], m[3]};
    to_number(m[4], m[5], m[6], v[4], v[5]);
    wide_outputs(v, sums);
  } else {
    V re, im, re2, im2;
    to_number(m[0], m[1], m[2], re, im);
    to_number(m[3], m[4], m[5], re2, im2);
    if constexpr (F == Fold::plus_minus_1) {
      sums[0] = re + re2;
      sums[1] = re - re2;
      sums[2] = im + im2;
      sums[3] = im - im2;
      return;
    }
    if constexpr (F == Fold::plus_minus_i) from_complex(re, im, re2, im2);
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
  Prefetcher(const PrefetchRanges& rows, std::int64_t parts)
      : row_(rows.begin), end_(rows.end), part_((rows.lines + parts - 1) / parts) {
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

template <Fold F, int Tiles, class T, class Io>
__attribute__((noinline)) void fold_tile(const FusedProductArgs<T>& a, const T* v, const T* u, T* m, const Io& io,
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
template <Fold F, class T>
inline void fold_groups(const FusedProductArgs<T>& a, const T*& v, const T*& u, T*& m, Prefetcher& prefetcher) {
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
void winograd_fold(const FusedProductArgs<T>& a) {
  const bool real = a.points == wide::real_points;
  const std::int64_t vectors = (a.out + Simd<T>::lanes - 1) / Simd<T>::lanes * a.groups;
  Prefetcher prefetcher(a.prefetch, (real ? 4 : 6) * vectors * ((a.tiles + fold_tiles - 1) / fold_tiles));
  const T *v = a.v, *u = a.u;
  T* m = a.m;
  for (int i = 0; i < (real ? 4 : 2); ++i)
    if (real) {
      fold_groups<Fold::real>(a, v, u, m, prefetcher);
    } else {
      fold_groups<Fold::plus_minus_1>(a, v, u, m, prefetcher);
      fold_groups<Fold::zero_inf>(a, v, u, m, prefetcher);
      fold_groups<Fold::plus_minus_i>(a, v, u, m, prefetcher);
    }
}

}  // namespace
}  // namespace vg::kernels
