// The transforms of wide tiles: Winograd's F(4, 3) in all three dimensions, with its polynomials at 0, infinity and the
// fourth roots of unity. Included only by winograd_*.cpp, after body_winograd.hpp; everything has internal linkage.
//
// In one dimension the six points of a tile are three pairs, each of two combinations of its elements:
//   unit, at 1 and -1:        x: (q + p, q - p), p = x1 + x3, q = x2 + x4   w: (w0 + w2 +- w1) / 4
//   ends, at 0 and infinity:  x: (x0 - x4, x5 - x1)                         w: (w0, w2)
//   turn, at i and -i:        x: (x4 - x2, x1 - x3), a complex number       w: ((w0 - w2) / 2, -w1 / 2)
//   y = (s + z + r, t + j, s - r, t - j + f) of the products (s + t) / 2 and (s - t) / 2, z and f, r + i j.
// All else are signs: the transforms are sums, exact on small integers, and the error is smaller than that of F(2, 3)
// (half of direct sums at 16 channels). Other points (LongTile) need no complex numbers, and have twice its error.
//
// Dimensions nest, as ever. A product of real points is a real one. A complex point takes three real products
// (Gauss):   r = c (a + b) - b (c + d),  j = c (a + b) + a (d - c)   are (a + i b) (c + i d).
// Where two dimensions are complex, four numbers e00, e01, e10, e11 are two complex ones, z = e00 - e11 + i (e01 + e10)
// and z' = e00 + e11 + i (e10 - e01): at (i, i) and (i, -i). In all 292 products for 64 outputs: 4.56 an output instead
// of 27, of 8 with square and of 6 with long tiles.
//
// A slice is a pair along H and one along W: 28 points where both are real, else 36. Three slices of a pair along H are
// a pass: they share the combined planes, made in L1 for some tiles at a time, and the outputs.
#pragma once

#include <cstdint>

#include "framework/kernels/body_winograd.hpp"

namespace vg::kernels {
namespace {

/// In the order of passes, slices and, along D, points.
enum class Pair { unit, ends, turn };

/// Points of a slice.
constexpr std::int64_t points_of(Pair h, Pair w) { return h == Pair::turn || w == Pair::turn ? 36 : 28; }
/// Of the slices before it in its pass.
constexpr std::int64_t points_before(Pair h, Pair w) {
  return w == Pair::unit ? 0 : points_of(h, Pair::unit) * (w == Pair::ends ? 1 : 2);
}

/// f(constant<Pair>) for each pair, `first` to `first + n - 1`.
template <Pair P>
struct PairIs {
  static constexpr Pair value = P;
};
template <class F>
inline void each_pair(int first, int n, const F& f) {
  if (first <= 0 && 0 < first + n) f(PairIs<Pair::unit>());
  if (first <= 1 && 1 < first + n) f(PairIs<Pair::ends>());
  if (first <= 2 && 2 < first + n) f(PairIs<Pair::turn>());
}

// ---- x and gradients to points ----------------------------------------------------------------------------------

/// Both combinations of a pair: first of get(0) to get(5), elements of x, or get(0) to get(3), of a gradient. A
/// gradient's are the transpose of what outputs are: (s + t, s - t), (g0, g3), (g0 - g2, g1 - g3).
template <int Size, Pair P, class V, class Get>
inline __attribute__((always_inline)) void combine(const Get& get, V& first, V& second) {
  constexpr bool x = Size == 6;
  if constexpr (P == Pair::unit) {
    const V p = get(1) + get(3), q = x ? get(2) + get(4) : get(0) + get(2);
    first = q + p;
    second = q - p;
  } else if constexpr (P == Pair::ends) {
    first = x ? get(0) - get(4) : get(0);
    second = x ? get(5) - get(1) : get(3);
  } else {
    first = x ? get(4) - get(2) : get(0) - get(2);
    second = get(1) - get(3);
  }
}

/// The complex numbers z, z' of four numbers (above), in place.
template <class V>
inline __attribute__((always_inline)) void to_complex(V& e00, V& e01, V& e10, V& e11) {
  const V re = e00 - e11, im = e01 + e10, re2 = e00 + e11, im2 = e10 - e01;
  e00 = re;
  e01 = im;
  e10 = re2;
  e11 = im2;
}

/// What Gauss' three products take of a number: of x (a + b, a, b); of a gradient the transpose of (r, j).
template <int Size, class T, class V>
inline __attribute__((always_inline)) void store_complex(T* to, std::int64_t point, V re, V im) {
  using S = Simd<T>;
  S::store(to, re + im);
  S::store(to + point, Size == 6 ? re : im);
  S::store(to + 2 * point, Size == 6 ? im : S::zero() - re);
}

/// The six points along D of one number.
template <int Size, class V>
inline __attribute__((always_inline)) void depth_points(const V (&q)[Size][4], int e, V (&v)[6]) {
  const auto get = [&](int k) __attribute__((always_inline)) { return q[k][e]; };
  combine<Size, Pair::unit>(get, v[0], v[1]);
  combine<Size, Pair::ends>(get, v[2], v[3]);
  combine<Size, Pair::turn>(get, v[4], v[5]);
}

/// A tile of a slice whose numbers are real along H and W: 4 x 7 points.
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

/// Of one whose numbers are two complex ones: 2 x 18 points.
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
/// Tiles whose planes are combined together: 14 KB of them in L1.
constexpr int wide_tiles = 4;

/// The combined planes of some tiles: row r of plane h at (h * Size + r) * columns * lanes, column by column.
template <class T, int Size>
struct CombinedPlanes {
  using S = Simd<T>;
  static constexpr std::int64_t columns = wide_step * wide_tiles + Size - wide_step;
  alignas(64) T values[2 * Size * columns * S::lanes];
  T* row(int h, int r) { return values + (h * Size + r) * columns * S::lanes; }
  const T* row(int h, int r) const { return values + (h * Size + r) * columns * S::lanes; }
};

/// Row r of both planes, from depth `first` on.
template <Pair H, class T, int Size, class Io>
inline void combine_row(const WinogradGather<T>& g, int r, std::int64_t first, std::int64_t n, std::int64_t channel,
                        const Io& io, CombinedPlanes<T, Size>& to) {
  using S = Simd<T>;
  using V = typename S::V;
  constexpr int all = Size;
  const T* plane[all];
  std::int64_t stride[all];
  const std::int64_t begin = first < 0 ? (-first < n ? -first : n) : 0;
  const std::int64_t end = g.depth - first < n ? (g.depth - first > begin ? g.depth - first : begin) : n;
  for (int h = 0; h < all; ++h) {
    const bool inside = g.rows[h][r] != nullptr;
    plane[h] = inside ? g.rows[h][r] + (first + begin) * g.stride + channel : reinterpret_cast<const T*>(zeros);
    stride[h] = inside ? g.stride : 0;
  }
  T *u = to.row(0, r), *v = to.row(1, r);
  std::int64_t k = 0;
  for (; k < begin; ++k, u += S::lanes, v += S::lanes) {
    S::store(u, S::zero());
    S::store(v, S::zero());
  }
  for (; k < end; ++k, u += S::lanes, v += S::lanes) {
    V a, b;
    combine<Size, H>(
        [&](int h) __attribute__((always_inline)) { return io.load(plane[h]); }, a, b);
    S::store(u, a);
    S::store(v, b);
#pragma GCC unroll 6
    for (int h = 0; h < all; ++h) plane[h] += stride[h];
  }
  for (; k < n; ++k, u += S::lanes, v += S::lanes) {
    S::store(u, S::zero());
    S::store(v, S::zero());
  }
}

/// Tiles of a slice to points.
template <Pair H, Pair W, class T, int Size>
__attribute__((noinline)) void wide_slice(const CombinedPlanes<T, Size>& planes, std::int64_t tiles, T* to,
                                          std::int64_t point, std::int64_t ld) {
  using S = Simd<T>;
  using V = typename S::V;
  constexpr int kept = Size - wide_step;
  V q[Size][4];
  const auto load = [&](int k, std::int64_t column) __attribute__((always_inline)) {
    const T* const at = planes.values + column * S::lanes;
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h)
      combine<Size, W>(
          [&](int r) __attribute__((always_inline)) {
            return S::load(at + (h * Size + r) * CombinedPlanes<T, Size>::columns * S::lanes);
          },
          q[k][2 * h], q[k][2 * h + 1]);
    if constexpr (H == Pair::turn && W == Pair::turn) {
      to_complex(q[k][0], q[k][1], q[k][2], q[k][3]);
    } else if constexpr (H == Pair::turn) {
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
    if constexpr (points_of(H, W) == 28)
      store_real<Size>(q, to, point);
    else
      store_complexes<Size>(q, to, point);
#pragma GCC unroll 2
    for (int k = 0; k < kept; ++k)
#pragma GCC unroll 4
      for (int e = 0; e < 4; ++e) q[k][e] = q[k + wide_step][e];
  }
}

/// Slices [slice, slice + slices) of a pass, of the run's tiles.
template <int Size, Pair H, class T>
void wide_pass(const WinogradGather<T>& g) {
  CombinedPlanes<T, Size> planes;
  const int first = g.slice % 3;
  each_vector<T>(g.channels, [&](std::int64_t c, auto io) {
    for (std::int64_t t = 0; t < g.tiles; t += wide_tiles) {
      const std::int64_t tiles = g.tiles - t < wide_tiles ? g.tiles - t : wide_tiles;
      for (int r = 0; r < Size; ++r)
        combine_row<H>(g, r, g.first + wide_step * t, wide_step * tiles + Size - wide_step, c, io, planes);
      T* to = g.to + t * g.ld + c;
      each_pair(first, g.slices, [&](auto w) {
        constexpr Pair W = decltype(w)::value;
        wide_slice<H, W>(planes, tiles, to, g.point_stride, g.ld);
        to += points_of(H, W) * g.point_stride;
      });
    }
  });
}

template <class T, int Size>
void wide_points(const WinogradGather<T>& g) {
  each_pair(g.slice / 3, 1, [&](auto h) { wide_pass<Size, decltype(h)::value>(g); });
}

// ---- products to outputs ----------------------------------------------------------------------------------------

/// The four outputs of six points.
template <class V>
inline __attribute__((always_inline)) void wide_outputs(const V (&m)[6], V (&y)[4]) {
  const V s = m[0] + m[1], t = m[0] - m[1];
  y[0] = s + m[2] + m[4];
  y[1] = t + m[5];
  y[2] = s - m[4];
  y[3] = t - m[5] + m[3];
}

/// (r, j) of Gauss' three products.
template <class T, class V>
inline __attribute__((always_inline)) void load_complex(const T* m, std::int64_t point, V& re, V& im) {
  const V k = Simd<T>::load(m);
  re = k - Simd<T>::load(m + 2 * point);
  im = k + Simd<T>::load(m + point);
}

/// The inverse of to_complex, and twice: the weights have the half.
template <class V>
inline __attribute__((always_inline)) void from_complex(V& re, V& im, V& re2, V& im2) {
  const V e00 = re + re2, e11 = re2 - re, e01 = im - im2, e10 = im + im2;
  re = e00;
  im = e01;
  re2 = e10;
  im2 = e11;
}

/// The numbers e of a slice, D's inverse done.
template <Pair H, Pair W, class T, class V>
inline __attribute__((always_inline)) void load_slice(const T* m, std::int64_t point, V (&e)[4][4]) {
  using S = Simd<T>;
  if constexpr (points_of(H, W) == 28) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i, m += 7 * point) {
      V v[6];
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) v[k] = S::load(m + k * point);
      load_complex(m + 4 * point, point, v[4], v[5]);
      wide_outputs(v, e[i]);
    }
    return;
  }
#pragma GCC unroll 2
  for (int i = 0; i < 4; i += 2, m += 18 * point) {
    V re[6], im[6];
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) load_complex(m + 3 * k * point, point, re[k], im[k]);
    load_complex(m + 12 * point, point, re[4], re[5]);
    load_complex(m + 15 * point, point, im[4], im[5]);
    from_complex(re[4], re[5], im[4], im[5]);
    wide_outputs(re, e[i]);
    wide_outputs(im, e[i + 1]);
  }
  if constexpr (H == Pair::turn && W == Pair::turn) {
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) from_complex(e[0][k], e[1][k], e[2][k], e[3][k]);
  } else if constexpr (H == Pair::turn) {
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
      const V e01 = e[2][k];
      e[2][k] = e[1][k];
      e[1][k] = e01;
    }
  }
}

/// Number (h, w) of a pass at depth k, a vector each.
template <class T>
struct PassNumbers {
  using S = Simd<T>;
  alignas(64) T values[2 * 6 * 4 * S::lanes];
  T* at(int h, int w, int k) { return values + ((h * 6 + w) * 4 + k) * S::lanes; }
};

template <Pair H, Pair W, class T>
__attribute__((noinline)) void wide_numbers(const T* m, std::int64_t point, PassNumbers<T>& to) {
  typename Simd<T>::V e[4][4];
  load_slice<H, W>(m, point, e);
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i)
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) Simd<T>::store(to.at(i / 2, 2 * static_cast<int>(W) + i % 2, k), e[i][k]);
}

/// Adds the numbers of a pass to the outputs of depth k; the first pass writes them.
template <Pair H, class T, class Io, class Check>
inline __attribute__((always_inline)) void add_pass(const WinogradScatter<T>& g, PassNumbers<T>& numbers, int k,
                                                    std::int64_t at, const Io& io, Check& check) {
  using V = typename Simd<T>::V;
  V e[2][4];
#pragma GCC unroll 2
  for (int h = 0; h < 2; ++h) {
    V m[6];
#pragma GCC unroll 6
    for (int w = 0; w < 6; ++w) m[w] = Simd<T>::load(numbers.at(h, w, k));
    wide_outputs(m, e[h]);
  }
  const auto put_row = [&](int h, int w, V v, auto how) __attribute__((always_inline)) {
    if (g.y[h][w] == nullptr) return;
    const V sum = put<decltype(how)::value>(io, g.y[h][w] + at, v);
    if constexpr (H == Pair::turn) check.add(sum);
  };
#pragma GCC unroll 4
  for (int w = 0; w < 4; ++w) {
    if constexpr (H == Pair::unit) {
      const V s = e[0][w] + e[1][w], t = e[0][w] - e[1][w];
      put_row(0, w, s, How<Into::set>());
      put_row(1, w, t, How<Into::set>());
      put_row(2, w, s, How<Into::set>());
      put_row(3, w, t, How<Into::set>());
    } else if constexpr (H == Pair::ends) {
      put_row(0, w, e[0][w], How<Into::add>());
      put_row(3, w, e[1][w], How<Into::add>());
    } else {
      put_row(0, w, e[0][w], How<Into::add>());
      put_row(1, w, e[1][w], How<Into::add>());
      put_row(2, w, e[0][w], How<Into::subtract>());
      put_row(3, w, e[1][w], How<Into::subtract>());
    }
  }
}

template <Pair H, class T>
void wide_output_pass(const WinogradScatter<T>& g) {
  each_vector<T>(g.channels, [&](std::int64_t c, auto io) {
    PassNumbers<T> numbers;
    FiniteCheck<T, true> check;
    const T* from = g.from + c;
    for (std::int64_t t = 0; t < g.tiles; ++t, from += g.ld) {
      each_pair(0, 3, [&](auto w) {
        constexpr Pair W = decltype(w)::value;
        wide_numbers<H, W>(from + points_before(H, W) * g.point_stride, g.point_stride, numbers);
      });
      for (int k = 0; k < 4 && wide_step * t + k < g.depth; ++k)
        add_pass<H>(g, numbers, k, (wide_step * t + k) * g.stride + c, io, check);
    }
    check.report(g.finite);
  });
}

template <class T>
void wide_output(const WinogradScatter<T>& g) {
  each_pair(g.slice / 3, 1, [&](auto h) { wide_output_pass<decltype(h)::value>(g); });
}

}  // namespace
}  // namespace vg::kernels
