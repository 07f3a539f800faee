// The transforms of wide tiles: Winograd's F(4, 3) in all three dimensions, with its polynomials at 0, infinity and the
// fourth roots of unity. Included only by winograd/transforms/kernels.cpp, after real-inl.hpp; everything has internal
// linkage.
//
// In one dimension the six points of a tile are three pairs. Each pair consists of two combinations of the elements:
//   plus_minus_1, at 1 and -1:     x: (q + p, q - p), p = x1 + x3, q = x2 + x4   w: (w0 + w2 +- w1) / 4
//   zero_inf, at 0 and infinity:   x: (x0 - x4, x5 - x1)                         w: (w0, w2)
//   plus_minus_i, at i and -i:     x: (x4 - x2, x1 - x3), a complex number       w: ((w0 - w2) / 2, -w1 / 2)
//   y = (s + z + r, t + j, s - r, t - j + f), if the products are (s + t) / 2 and (s - t) / 2, z and f, r + i j.
// All coefficients of inputs and outputs are 1, -1 or 0, so these transforms are sums, exact on small integers. The
// error is smaller than that of F(2, 3) (half of that of direct sums at 16 channels). The real_points need no complex
// numbers, but have twice the error.
//
// Dimensions nest. A product at real points is one real product. A product at a complex point takes three real products
// (Gauss): if r = c (a + b) - b (c + d) and j = c (a + b) + a (d - c), then r + i j = (a + i b) (c + i d). Where two
// dimensions are complex, four numbers e00, e01, e10, e11 form two complex numbers, z = e00 - e11 + i (e01 + e10) at
// (i, i) and z' = e00 + e11 + i (e10 - e01) at (i, -i). In all there are 292 products for 64 outputs: 4.56 per output,
// compared with 27 without Winograd, 8 with f2 tiles and 6 with long tiles.
//
// A slice is one pair along H and one along W. It has 28 points if both are real, otherwise 36. The three slices of one
// pair along H share combined planes, which are computed in L1 for some tiles at a time, and form a stage. If all
// points of a block stay in L2, all nine slices form one stage, so that inputs are read once and outputs are written
// once.
#pragma once

#include <cstdint>

#include "voxgrad/framework/kernels/winograd/transforms/products-inl.hpp"
#include "voxgrad/framework/kernels/winograd/transforms/real-inl.hpp"

namespace vg::kernels {
namespace {

/// Points of a slice.
constexpr std::int64_t points_of(PointPair h, PointPair w) {
  return wide::points_of(3 * static_cast<int>(h) + static_cast<int>(w));
}
/// Number of values that are stored per slice: sums if products are fused (products-inl.hpp), otherwise
/// products.
template <class T>
constexpr std::int64_t values_of(PointPair h, PointPair w) {
  return folds<T> ? wide::sums_of(static_cast<int>(points_of(h, w))) : points_of(h, w);
}
/// f(Constant<P>()) for each pair P from number `first` to `first + n - 1`.
template <class F>
inline void each_pair(int first, int n, const F& f) {
  if (first <= 0 && 0 < first + n) f(Constant<PointPair::plus_minus_1>());
  if (first <= 1 && 1 < first + n) f(Constant<PointPair::zero_inf>());
  if (first <= 2 && 2 < first + n) f(Constant<PointPair::plus_minus_i>());
}

// ---- x and gradients to points ----------------------------------------------------------------------------------

/// Computes both combinations of a pair, from elements get(0) to get(5) of x or get(0) to get(3) of a gradient. Those
/// of a gradient are the transpose of the output transform: (q + p, q - p) with p = g1 + g3, q = g0 + g2; (g0, g3); (g0
/// - g2, g1 - g3).
template <int Size, PointPair P, class V, class Get>
inline __attribute__((always_inline)) void combine(const Get& get, V& first, V& second) {
  constexpr bool x = Size == 6;
  if constexpr (P == PointPair::plus_minus_1) {
    const V p = get(1) + get(3), q = x ? get(2) + get(4) : get(0) + get(2);
    first = q + p;
    second = q - p;
  } else if constexpr (P == PointPair::zero_inf) {
    first = x ? get(0) - get(4) : get(0);
    second = x ? get(5) - get(1) : get(3);
  } else {
    first = x ? get(4) - get(2) : get(0) - get(2);
    second = get(1) - get(3);
  }
}

/// Stores the factors of Gauss' three products for a complex number: (a + b, a, b) of x, for a gradient the transpose
/// of (r, j).
template <int Size, class T, class V>
inline __attribute__((always_inline)) void store_complex(T* to, std::int64_t point, V re, V im) {
  using S = Simd<T>;
  S::store(to, re + im);
  S::store(to + point, Size == 6 ? re : im);
  S::store(to + 2 * point, Size == 6 ? im : S::zero() - re);
}

/// The six points along D of number e of a slice.
template <int Size, class V>
inline __attribute__((always_inline)) void depth_points(const V (&q)[Size][4], int e, V (&v)[6]) {
  const auto get = [&](int k) __attribute__((always_inline)) { return q[k][e]; };
  combine<Size, PointPair::plus_minus_1>(get, v[0], v[1]);
  combine<Size, PointPair::zero_inf>(get, v[2], v[3]);
  combine<Size, PointPair::plus_minus_i>(get, v[4], v[5]);
}

/// Stores a tile of a slice that is real along H and W: 4 x 7 points.
template <int Size, class T, class V>
inline __attribute__((always_inline)) void store_real(const V (&q)[Size][4], T* to, std::int64_t point) {
#pragma GCC unroll 4
  for (int e = 0; e < 4; ++e, to += 7 * point) {
    V v[6];
    depth_points<Size>(q, e, v);
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) Simd<T>::store(to + k * point, v[k]);
    store_complex<Size>(to + 4 * point, point, v[4], v[5]);
  }
}

/// Stores the numbers of a gradient before the transform along D, which the fused products do (products-inl.hpp).
template <class T, class V>
inline __attribute__((always_inline)) void store_numbers(const V (&q)[4][4], T* to, std::int64_t point) {
#pragma GCC unroll 4
  for (int e = 0; e < 4; ++e)
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) Simd<T>::store(to + (4 * e + k) * point, q[k][e]);
}

/// Stores a tile of a slice whose four numbers are two complex ones: 2 x 18 points.
template <int Size, class T, class V>
inline __attribute__((always_inline)) void store_complexes(const V (&q)[Size][4], T* to, std::int64_t point) {
#pragma GCC unroll 2
  for (int e = 0; e < 4; e += 2, to += 18 * point) {
    V re[6], im[6];
    depth_points<Size>(q, e, re);
    depth_points<Size>(q, e + 1, im);
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) store_complex<Size>(to + 3 * k * point, point, re[k], im[k]);
    to_complex(re[4], re[5], im[4], im[5]);
    store_complex<Size>(to + 12 * point, point, re[4], re[5]);
    store_complex<Size>(to + 15 * point, point, im[4], im[5]);
  }
}

constexpr int wide_step = 4;

/// The planes of `Pairs` pairs along H are combined for so many tiles at a time: two planes per pair, in 14 to 23 KB of
/// L1. Row r of plane h begins at element (h * Size + r) * columns * lanes.
constexpr int tiles_at_once(int pairs) { return pairs == 1 ? 4 : 2; }
constexpr std::int64_t columns_of(int size, int pairs) { return wide_step * tiles_at_once(pairs) + size - wide_step; }

/// Combines row r of all planes for n columns from `depth` on. `Inside`: the row exists in every plane.
template <bool Inside, int Size, PointPair... Hs, class T, class Io>
inline __attribute__((always_inline)) void combine_columns(const InputTransformArgs<T>& g, int r, std::int64_t depth,
                                                           std::int64_t n, std::int64_t channel, const Io& io, T* to) {
  using S = Simd<T>;
  using V = typename S::V;
  constexpr std::int64_t plane_size = Size * columns_of(Size, sizeof...(Hs)) * S::lanes;
  const T* plane[Size];
  bool inside[Size];
#pragma GCC unroll 6
  for (int h = 0; h < Size; ++h) {
    inside[h] = Inside || g.rows[h][r] != nullptr;
    plane[h] = inside[h] ? g.rows[h][r] + channel : nullptr;
  }
  const std::int64_t stride = g.stride, end = (depth + n) * stride;
  for (std::int64_t at = depth * stride; at < end; at += stride, to += S::lanes) {
    V x[Size];
#pragma GCC unroll 6
    for (int h = 0; h < Size; ++h) x[h] = Inside || inside[h] ? io.load(plane[h] + at) : S::zero();
    T* next = to;
    const auto put_pair = [&](auto pair) __attribute__((always_inline)) {
      V a, b;
      combine<Size, decltype(pair)::value>(
          [&](int h) __attribute__((always_inline)) { return x[h]; }, a, b);
      S::store(next, a);
      S::store(next + plane_size, b);
      next += 2 * plane_size;
    };
    (put_pair(Constant<Hs>()), ...);
  }
}

template <int Size, PointPair... Hs, class T, class Io>
inline void combine_row(const InputTransformArgs<T>& g, int r, std::int64_t first, std::int64_t n, std::int64_t channel,
                        const Io& io, T* planes) {
  using S = Simd<T>;
  constexpr int pairs = sizeof...(Hs);
  T* const to = planes + r * columns_of(Size, pairs) * S::lanes;
  const std::int64_t begin = first < 0 ? (-first < n ? -first : n) : 0;
  const std::int64_t end = g.depth - first < n ? (g.depth - first > begin ? g.depth - first : begin) : n;
  const auto clear = [&](std::int64_t from, std::int64_t until) {
    for (int h = 0; h < 2 * pairs; ++h)
      for (std::int64_t k = from; k < until; ++k)
        S::store(to + (h * Size * columns_of(Size, pairs) + k) * S::lanes, S::zero());
  };
  bool inside = true, outside = true;
  for (int h = 0; h < Size; ++h) (g.rows[h][r] != nullptr ? outside : inside) = false;
  if (outside) return clear(0, n);
  clear(0, begin);
  T* const at = to + begin * S::lanes;
  if (inside)
    combine_columns<true, Size, Hs...>(g, r, first + begin, end - begin, channel, io, at);
  else
    combine_columns<false, Size, Hs...>(g, r, first + begin, end - begin, channel, io, at);
  clear(end, n);
}

/// Transforms the tiles of one slice along W and D.
template <PointPair H, PointPair W, int Size, std::int64_t Columns, class T>
__attribute__((noinline)) void wide_slice(const T* planes, std::int64_t tiles, T* to, std::int64_t point,
                                          std::int64_t ld) {
  using S = Simd<T>;
  using V = typename S::V;
  constexpr int kept = Size - wide_step;
  V q[Size][4];
  const auto load = [&](int k, std::int64_t column) __attribute__((always_inline)) {
    const T* const at = planes + column * S::lanes;
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h)
      combine<Size, W>(
          [&](int r) __attribute__((always_inline)) { return S::load(at + (h * Size + r) * Columns * S::lanes); },
          q[k][2 * h], q[k][2 * h + 1]);
    if constexpr (H == PointPair::plus_minus_i && W == PointPair::plus_minus_i) {
      to_complex(q[k][0], q[k][1], q[k][2], q[k][3]);
    } else if constexpr (H == PointPair::plus_minus_i) {
      const V e01 = q[k][1];
      q[k][1] = q[k][2];
      q[k][2] = e01;
    }
  };
#pragma GCC unroll 2
  for (int k = 0; k < kept; ++k) load(k, k);
  for (std::int64_t t = 0; t < tiles; ++t, to += ld) {
#pragma GCC unroll 6
    for (int k = kept; k < Size; ++k) load(k, wide_step * t + k);
    if constexpr (Size == 4 && folds<T>)
      store_numbers(q, to, point);
    else if constexpr (points_of(H, W) == wide::real_points)
      store_real<Size>(q, to, point);
    else
      store_complexes<Size>(q, to, point);
#pragma GCC unroll 2
    for (int k = 0; k < kept; ++k)
#pragma GCC unroll 4
      for (int e = 0; e < 4; ++e) q[k][e] = q[k + wide_step][e];
  }
}

/// Transforms the run in one stage: some slices of one pair along H, or all slices of several pairs.
template <int Size, PointPair... Hs, class T>
void wide_stage(const InputTransformArgs<T>& g) {
  constexpr int pairs = sizeof...(Hs), most = tiles_at_once(pairs);
  constexpr std::int64_t columns = columns_of(Size, pairs), lanes = Simd<T>::lanes;
  alignas(64) T planes[2 * pairs * Size * columns * lanes];
  const int first = pairs == 1 ? g.slice % 3 : 0, count = pairs == 1 ? g.slices : 3;
  each_vector<T>(g.channels, [&](std::int64_t c, auto io) {
    for (std::int64_t t = 0; t < g.tiles; t += most) {
      const std::int64_t tiles = g.tiles - t < most ? g.tiles - t : most;
      for (int r = 0; r < Size; ++r)
        combine_row<Size, Hs...>(g, r, g.first + wide_step * t, wide_step * tiles + Size - wide_step, c, io, planes);
      T* to = g.to + t * g.ld + c;
      int row = 0;
      const auto slices_of = [&](auto h) __attribute__((always_inline)) {
        each_pair(first, count, [&](auto w) {
          constexpr PointPair H = decltype(h)::value, W = decltype(w)::value;
          wide_slice<H, W, Size, columns>(planes + row * Size * columns * lanes, tiles, to, g.point_stride, g.ld);
          to += (Size == 4 && folds<T> ? wide::numbers : points_of(H, W)) * g.point_stride;
        });
        row += 2;
      };
      (slices_of(Constant<Hs>()), ...);
    }
  });
}

template <class T, int Size>
void wide_points(const InputTransformArgs<T>& g) {
  if constexpr (Size == 6)
    if (g.slices == wide::slices)
      return wide_stage<Size, PointPair::plus_minus_1, PointPair::zero_inf, PointPair::plus_minus_i>(g);
  each_pair(g.slice / 3, 1, [&](auto h) { wide_stage<Size, decltype(h)::value>(g); });
}

// ---- products to outputs ----------------------------------------------------------------------------------------

/// Computes a complex number from Gauss' three products.
template <class T, class V>
inline __attribute__((always_inline)) void load_complex(const T* m, std::int64_t point, V& re, V& im) {
  using S = Simd<T>;
  to_number(S::load(m), S::load(m + point), S::load(m + 2 * point), re, im);
}

/// Loads the four sums of the points of F, or computes them from their products if products are not fused.
template <PointPair F, class T, class V>
inline __attribute__((always_inline)) void load_sums(const T*& m, std::int64_t point, V (&sums)[fold_sums]) {
  using S = Simd<T>;
  if constexpr (folds<T>) {
#pragma GCC unroll 4
    for (int j = 0; j < fold_sums; ++j) sums[j] = S::load(m + j * point);
    m += fold_sums * point;
  } else {
    constexpr int points = fold_points(F);
    V v[points];
#pragma GCC unroll 7
    for (int k = 0; k < points; ++k) v[k] = S::load(m + k * point);
    fold_products<F>(v, sums);
    m += fold_points(F) * point;
  }
}

/// Loads a complex number, along H or W, as the four outputs along D of its real and of its imaginary part.
template <class T, class V>
inline __attribute__((always_inline)) void load_pair(const T*& m, std::int64_t point, V (&re)[4], V (&im)[4]) {
  V units[4], ends[4], turns[4];
  load_sums<PointPair::plus_minus_1>(m, point, units);
  load_sums<PointPair::zero_inf>(m, point, ends);
  load_sums<PointPair::plus_minus_i>(m, point, turns);
  const auto outputs = [&](int part, V(&y)[4]) __attribute__((always_inline)) {
    const V s = units[2 * part], t = units[2 * part + 1], r = turns[2 * part], j = turns[2 * part + 1];
    y[0] = s + ends[part] + r;
    y[1] = t + j;
    y[2] = s - r;
    y[3] = t - j + ends[2 + part];
  };
  outputs(0, re);
  outputs(1, im);
}

/// Loads the four numbers e of a slice, each as its four outputs along D.
template <PointPair H, PointPair W, class T, class V>
inline __attribute__((always_inline)) void load_slice(const T* m, std::int64_t point, V (&e)[4][4]) {
  if constexpr (points_of(H, W) == wide::real_points) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) load_sums<PointPair::all_real>(m, point, e[i]);
  } else {
    load_pair(m, point, e[0], e[1]);
    load_pair(m, point, e[2], e[3]);
  }
  if constexpr (H == PointPair::plus_minus_i && W == PointPair::plus_minus_i) {
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) from_complex(e[0][k], e[1][k], e[2][k], e[3][k]);
  } else if constexpr (H == PointPair::plus_minus_i) {
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
      const V e01 = e[2][k];
      e[2][k] = e[1][k];
      e[1][k] = e01;
    }
  }
}

/// The offset of number (h, w) of a stage at depth k; a number is one vector.
template <class T>
constexpr std::int64_t number_at(int h, int w, int k) {
  return ((h * 6 + w) * 4 + k) * Simd<T>::lanes;
}

/// Computes the numbers of a slice and stores them, the first at `to`.
template <PointPair H, PointPair W, class T>
__attribute__((noinline)) void wide_numbers(const T* m, std::int64_t point, T* to) {
  typename Simd<T>::V e[4][4];
  load_slice<H, W>(m, point, e);
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i)
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) Simd<T>::store(to + number_at<T>(i / 2, i % 2, k), e[i][k]);
}

/// The inverse transform along W of row h at depth k.
template <class T, class V>
inline __attribute__((always_inline)) void row_outputs(const T* numbers, int h, int k, V (&e)[4]) {
  V m[6];
#pragma GCC unroll 6
  for (int w = 0; w < 6; ++w) m[w] = Simd<T>::load(numbers + number_at<T>(h, w, k));
  wide_outputs(m, e);
}

/// Transforms the numbers of a stage at depth k along H and W and calls f(h, w, value, Constant<StoreMode>) for each
/// output that the stage writes or adds to: put_all for a stage with all slices, put_pair for a stage with one pair
/// along H.
template <class T, class Put>
inline __attribute__((always_inline)) void put_all(const T* numbers, int k, const Put& f) {
  typename Simd<T>::V e[6][4];
#pragma GCC unroll 6
  for (int h = 0; h < 6; ++h) row_outputs(numbers, h, k, e[h]);
#pragma GCC unroll 4
  for (int w = 0; w < 4; ++w) {
    const typename Simd<T>::V column[6] = {e[0][w], e[1][w], e[2][w], e[3][w], e[4][w], e[5][w]};
    typename Simd<T>::V y[4];
    wide_outputs(column, y);
#pragma GCC unroll 4
    for (int h = 0; h < 4; ++h) f(h, w, y[h], Constant<StoreMode::set>());
  }
}
template <PointPair H, class T, class Put>
inline __attribute__((always_inline)) void put_pair(const T* numbers, int k, const Put& f) {
  typename Simd<T>::V e[2][4];
#pragma GCC unroll 2
  for (int h = 0; h < 2; ++h) row_outputs(numbers, h, k, e[h]);
#pragma GCC unroll 4
  for (int w = 0; w < 4; ++w) {
    if constexpr (H == PointPair::plus_minus_1) {
      const auto s = e[0][w] + e[1][w], t = e[0][w] - e[1][w];
      f(0, w, s, Constant<StoreMode::set>());
      f(1, w, t, Constant<StoreMode::set>());
      f(2, w, s, Constant<StoreMode::set>());
      f(3, w, t, Constant<StoreMode::set>());
    } else if constexpr (H == PointPair::zero_inf) {
      f(0, w, e[0][w], Constant<StoreMode::add>());
      f(3, w, e[1][w], Constant<StoreMode::add>());
    } else {
      f(0, w, e[0][w], Constant<StoreMode::add>());
      f(1, w, e[1][w], Constant<StoreMode::add>());
      f(2, w, e[0][w], Constant<StoreMode::subtract>());
      f(3, w, e[1][w], Constant<StoreMode::subtract>());
    }
  }
}

/// Adds the numbers of a stage to the outputs; the first stage overwrites them.
template <bool IsLast, PointPair... Hs, class T>
void wide_output_stage(const OutputTransformArgs<T>& g) {
  constexpr int pairs = sizeof...(Hs);
  const int along_w = pairs == 1 ? g.slices : 3;
  const std::int64_t point = g.point_stride, ld = g.ld, tiles = g.tiles, depth = g.depth, stride = g.stride;
  T* y[4][4];
  bool all_inside = true;
  for (int h = 0; h < 4; ++h)
    for (int w = 0; w < 4; ++w) {
      y[h][w] = g.y[h][w];
      all_inside = all_inside && y[h][w] != nullptr;
    }
  const auto put_tiles = [&](std::int64_t c, auto io, auto inside) {
    constexpr int count = 2 * pairs * 6 * 4;
    alignas(64) T numbers[count * Simd<T>::lanes];
    for (int i = 0; along_w < 3 && i < count; ++i) Simd<T>::store(numbers + i * Simd<T>::lanes, Simd<T>::zero());
    LevelCheck<T, IsLast> check;
    const T* from = g.from + c;
    for (std::int64_t t = 0; t < tiles; ++t, from += ld) {
      const T* m = from;
      int row = 0;
      const auto numbers_of = [&](auto h) __attribute__((always_inline)) {
        each_pair(0, along_w, [&](auto w) {
          constexpr PointPair H = decltype(h)::value, W = decltype(w)::value;
          wide_numbers<H, W>(m, point, numbers + number_at<T>(row, 2 * static_cast<int>(W), 0));
          m += values_of<T>(H, W) * point;
        });
        row += 2;
      };
      (numbers_of(Constant<Hs>()), ...);
      for (int k = 0; k < 4 && wide_step * t + k < depth; ++k) {
        const std::int64_t at = (wide_step * t + k) * stride + c;
        const auto f = [&](int h, int w, auto v, auto how) __attribute__((always_inline)) {
          if (decltype(inside)::value == 0 && y[h][w] == nullptr) return;
          const auto sum = put<decltype(how)::value>(io, y[h][w] + at, v);
          if constexpr (IsLast) {
            check.add(sum);
            // check the corners at the first and last depth, and the inner outputs at the other depths
            const bool outer = k == 0 || k == 3;
            if (outer ? h % 3 == 0 && w % 3 == 0 : h % 3 != 0 && w % 3 != 0) check.take(t, h / 2 * 2 + w / 2, sum);
          }
        };
        if constexpr (pairs == 3)
          put_all(numbers, k, f);
        else
          put_pair<Hs...>(numbers, k, f);
      }
      check.end_tile(t);
    }
    check.report(io.n, g.levels);
  };
  each_vector<T>(g.channels, [&](std::int64_t c, auto io) {
    if (all_inside)
      put_tiles(c, io, Int<1>());
    else
      put_tiles(c, io, Int<0>());
  });
}

template <class T>
void wide_output(const OutputTransformArgs<T>& g) {
  if (g.slices == wide::slices)
    return wide_output_stage<true, PointPair::plus_minus_1, PointPair::zero_inf, PointPair::plus_minus_i>(g);
  if (g.last && g.slice == 3) return wide_output_stage<true, PointPair::zero_inf>(g);  // a remainder tile along H
  each_pair(g.slice / 3, 1, [&](auto h) {
    constexpr PointPair H = decltype(h)::value;
    wide_output_stage<H == PointPair::plus_minus_i, H>(g);
  });
}

}  // namespace
}  // namespace vg::kernels
