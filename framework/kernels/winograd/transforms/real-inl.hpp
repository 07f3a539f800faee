// The transforms of Winograd's F(2, 3) in one to three dimensions, with F(4, 3) along D for long tiles (wide tiles have
// their own: complex-inl.hpp). Included only by winograd/transforms/kernels.cpp, after one header of simd/; everything
// has internal linkage. The products per point between the transforms are computed by the direct kernels.
//
// In one dimension two outputs of a 3-tap kernel take 4 products instead of 6:
//   y = A' [(G w) * (B' x)],   B' x = (x0 - x2, x1 + x2, x2 - x1, x1 - x3),   A' m = (m0 + m1 + m2, m1 - m2 - m3),
//   G w = (w0, (w0 + w1 + w2) / 2, (w0 - w1 + w2) / 2, w2).
// Dimensions nest: 64 products for 8 outputs instead of 216. The gradient with respect to w is the transpose:
//   dw = G' [(B' x) * (A dy)],   A dy = (g0, g0 + g1, g0 - g1, -g1).
// Long tiles take 6 products for 4 outputs along D, 96 for 16 outputs in three dimensions, with polynomials at 0, +-a,
// +-b and infinity (real_points). That is 1.33 times fewer than F(2, 3), with 1.6 times its error.
//
// Lanes run over channels. A slice is one point along H. Its two planes are combined while they are loaded, W is
// transformed in registers, and along D a tile reuses two of the four columns of the previous tile. So a transform
// reads each element of a pair of planes once per run and writes whole vectors. Nothing is padded or copied: rows
// outside of the volume are read from an array of zeros.
#pragma once

#include <cstdint>
#include <limits>

#include "voxgrad/framework/kernels/simd/constant.hpp"
#include "voxgrad/framework/kernels/winograd/transforms/table.hpp"

namespace vg::kernels {
namespace {

/// Loads and stores the first `n` lanes of a vector of channels.
template <class T, bool Masked>
struct Channels {
  using S = Simd<T>;
  using V = typename S::V;
  static constexpr bool masked = Masked;
  std::int64_t n;
  V load(const T* p) const { return Masked ? S::load_first(p, n) : S::load(p); }
  void store(T* p, V a) const {
    if constexpr (Masked)
      S::store_first(p, a, n);
    else
      S::store(p, a);
  }
};

/// f(channel, Channels) for each vector of channels.
template <class T, class F>
inline void each_vector(std::int64_t channels, const F& f) {
  std::int64_t c = 0;
  for (; c + Simd<T>::lanes <= channels; c += Simd<T>::lanes) f(c, Channels<T, false>{Simd<T>::lanes});
  if (c < channels) f(c, Channels<T, true>{channels - c});
}

// ---- B', A and A' along one axis; with one point they do nothing ------------------------------------------------

/// Outputs per tile along an axis with so many points.
constexpr int outputs_of(int points) { return points == 1 ? 1 : points - 2; }

/// The points of long tiles are 0, infinity, +-a and +-b. Of all pairs of multiples of 1/16 these give the smallest
/// error, two thirds of that of 1 and 2. Their squares and products are exact in a float.
namespace real_points {
constexpr double a = 0.6875, b = 1.5, aa = a * a, bb = b * b;
constexpr double of_zero = 1 / (aa * bb), of_a = 0.5 / (aa * (aa - bb)), of_b = 0.5 / (bb * (bb - aa));
}  // namespace real_points

template <class T>
inline __attribute__((always_inline)) typename Simd<T>::V constant(double a) {
  return Simd<T>::set1(static_cast<T>(a));
}

template <class T, int P, class V>
inline __attribute__((always_inline)) void input_points(const V (&x)[P], V (&v)[P]) {
  using S = Simd<T>;
  namespace L = real_points;
  if constexpr (P == 1) {
    v[0] = x[0];
  } else if constexpr (P == 4) {
    v[0] = x[0] - x[2];
    v[1] = x[1] + x[2];
    v[2] = x[2] - x[1];
    v[3] = x[1] - x[3];
  } else {
    const V product = constant<T>(L::aa * L::bb), sum = constant<T>(-L::aa - L::bb);
    const V minus_aa = constant<T>(-L::aa), minus_bb = constant<T>(-L::bb);
    v[0] = S::fma(product, x[0], S::fma(sum, x[2], x[4]));
    v[5] = S::fma(product, x[1], S::fma(sum, x[3], x[5]));
    const V even_a = S::fma(minus_bb, x[2], x[4]), odd_a = S::fma(minus_bb, x[1], x[3]);
    v[1] = S::fma(constant<T>(L::a), odd_a, even_a);
    v[2] = S::fma(constant<T>(-L::a), odd_a, even_a);
    const V even_b = S::fma(minus_aa, x[2], x[4]), odd_b = S::fma(minus_aa, x[1], x[3]);
    v[3] = S::fma(constant<T>(L::b), odd_b, even_b);
    v[4] = S::fma(constant<T>(-L::b), odd_b, even_b);
  }
}

template <class T, int P, class V>
inline __attribute__((always_inline)) void gradient_points(const V (&g)[outputs_of(P)], V (&e)[P]) {
  using S = Simd<T>;
  namespace L = real_points;
  e[0] = g[0];
  if constexpr (P == 4) {
    e[1] = g[0] + g[1];
    e[2] = g[0] - g[1];
    e[3] = -g[1];
  }
  if constexpr (P == 6) {
    const V aa = constant<T>(L::aa), bb = constant<T>(L::bb);
    const V even_a = S::fma(aa, g[2], g[0]), odd_a = S::fma(aa, g[3], g[1]);
    e[1] = S::fma(constant<T>(L::a), odd_a, even_a);
    e[2] = S::fma(constant<T>(-L::a), odd_a, even_a);
    const V even_b = S::fma(bb, g[2], g[0]), odd_b = S::fma(bb, g[3], g[1]);
    e[3] = S::fma(constant<T>(L::b), odd_b, even_b);
    e[4] = S::fma(constant<T>(-L::b), odd_b, even_b);
    e[5] = g[3];
  }
}

template <class T, int P, class V>
inline __attribute__((always_inline)) void output_points(const V (&m)[P], V (&y)[outputs_of(P)]) {
  using S = Simd<T>;
  namespace L = real_points;
  if constexpr (P == 1) {
    y[0] = m[0];
  } else if constexpr (P == 4) {
    y[0] = m[0] + m[1] + m[2];
    y[1] = m[1] - m[2] - m[3];
  } else {
    const V even_a = m[1] + m[2], odd_a = m[1] - m[2], even_b = m[3] + m[4], odd_b = m[3] - m[4];
    y[0] = m[0] + even_a + even_b;
    y[1] = S::fma(constant<T>(L::a), odd_a, constant<T>(L::b) * odd_b);
    y[2] = S::fma(constant<T>(L::aa), even_a, constant<T>(L::bb) * even_b);
    y[3] = S::fma(constant<T>(L::aa * L::a), odd_a, S::fma(constant<T>(L::bb * L::b), odd_b, m[5]));
  }
}

// ---- x and gradients to points ----------------------------------------------------------------------------------

const double zeros[64] = {};  // rows outside of the volume are read from here

/// The columns of a slice: at depth d each row is a + sign * b; zero if d is outside of the row. Rows that are all
/// inside of the volume (`Inside`) are at equal distances. Otherwise rows outside read `zeros`, and a mask sets their
/// offsets to 0.
template <class T, int Rows, bool Inside, bool Masked>
struct Columns {
  using S = Simd<T>;
  static constexpr int kept = Inside ? 1 : Rows;
  const T *a[kept], *b[kept];
  std::int64_t offset_a[kept], offset_b[kept];  ///< the distance between rows, or masks
  const Channels<T, Masked> io;
  const std::int64_t depth, stride, channel;
  const typename S::V sign;

  Columns(const InputTransformArgs<T>& g, std::int64_t c, const Channels<T, Masked>& channels)
      : io(channels), depth(g.depth), stride(g.stride), channel(c), sign(S::set1(g.sign)) {
    const T* const zero = reinterpret_cast<const T*>(zeros);
    const std::int64_t row = Inside && Rows > 1 ? g.rows[0][1] - g.rows[0][0] : 0;
    for (int r = 0; r < kept; ++r) {
      a[r] = Inside || g.rows[0][r] != nullptr ? g.rows[0][r] : zero;
      b[r] = Inside || g.rows[1][r] != nullptr ? g.rows[1][r] : zero;
      offset_a[r] = Inside ? row : g.rows[0][r] != nullptr ? -1 : 0;
      offset_b[r] = Inside ? row : g.rows[1][r] != nullptr ? -1 : 0;
    }
  }
  __attribute__((always_inline)) void load(std::int64_t d, typename S::V (&x)[Rows]) const {
    if (d < 0 || d >= depth) {
#pragma GCC unroll 6
      for (int r = 0; r < Rows; ++r) x[r] = S::zero();
      return;
    }
    const std::int64_t at = d * stride + channel;
#pragma GCC unroll 6
    for (int r = 0; r < Rows; ++r) {
      const T* const at_a = Inside ? a[0] + at + r * offset_a[0] : a[r] + (at & offset_a[r]);
      const T* const at_b = Inside ? b[0] + at + r * offset_a[0] : b[r] + (at & offset_b[r]);
      x[r] = S::fma(sign, io.load(at_b), io.load(at_a));
    }
  }
};

/// f(Columns, channel) for each vector of channels. Masked vectors use masked rows also inside of the volume, because
/// every kind of Columns is compiled for every transform.
template <class T, int Rows, class F>
inline void each_columns(const InputTransformArgs<T>& g, const F& f) {
  bool inside = true;
  for (int r = 0; r < Rows; ++r) inside = inside && g.rows[0][r] != nullptr && g.rows[1][r] != nullptr;
  each_vector<T>(g.channels, [&](std::int64_t c, auto io) {
    if constexpr (!io.masked)
      if (inside) return f(Columns<T, Rows, true, false>(g, c, io), c);
    f(Columns<T, Rows, false, io.masked>(g, c, io), c);
  });
}

/// Stores v[k] at to + k * point_stride. The arguments are values, because a vector store may change any memory.
template <class T, int P>
inline __attribute__((always_inline)) void store_points(T* to, std::int64_t point_stride,
                                                        const typename Simd<T>::V (&v)[P]) {
#pragma GCC unroll 6
  for (int k = 0; k < P; ++k) Simd<T>::store(to + k * point_stride, v[k]);
}

template <class T, int PW, int PD, class Source>
__attribute__((noinline)) void input_run(const InputTransformArgs<T>& g, const Source& columns, std::int64_t c) {
  using V = typename Simd<T>::V;
  constexpr int step = outputs_of(PD), kept = PD - step;
  const Source source = columns;
  const std::int64_t point_stride = g.point_stride, ld = g.ld, end = g.first + kept + g.tiles * step;
  V q[PD][PW];
  const auto load = [&](int k, std::int64_t d) __attribute__((always_inline)) {
    V x[PW];
    source.load(d, x);
    input_points<T, PW>(x, q[k]);
  };
#pragma GCC unroll 6
  for (int k = 0; k < kept; ++k) load(k, g.first + k);
  T* to = g.to + c;
  for (std::int64_t d = g.first + kept; d < end; d += step, to += ld) {
#pragma GCC unroll 6
    for (int k = kept; k < PD; ++k) load(k, d + k - kept);
#pragma GCC unroll 6
    for (int w = 0; w < PW; ++w) {
      V x[PD], v[PD];
#pragma GCC unroll 6
      for (int k = 0; k < PD; ++k) x[k] = q[k][w];
      input_points<T, PD>(x, v);
      store_points<T, PD>(to + w * PD * point_stride, point_stride, v);
    }
#pragma GCC unroll 6
    for (int k = 0; k < kept; ++k)
#pragma GCC unroll 6
      for (int w = 0; w < PW; ++w) q[k][w] = q[k + step][w];
  }
}

template <class T, int PW, int PD>
void winograd_input(const InputTransformArgs<T>& g) {
  each_columns<T, PW>(g, [&](const auto& columns, std::int64_t c) { input_run<T, PW, PD>(g, columns, c); });
}

template <class T, int PW, int PD, class Source>
__attribute__((noinline)) void gradient_run(const InputTransformArgs<T>& g, const Source& columns, std::int64_t c) {
  using V = typename Simd<T>::V;
  constexpr int rows = outputs_of(PW), step = outputs_of(PD);
  const Source source = columns;
  const std::int64_t point_stride = g.point_stride, ld = g.ld, end = g.first + g.tiles * step;
  T* to = g.to + c;
  for (std::int64_t d = g.first; d < end; d += step, to += ld) {
    V e[step][PW];
#pragma GCC unroll 4
    for (int k = 0; k < step; ++k) {
      V x[rows];
      source.load(d + k, x);
      gradient_points<T, PW>(x, e[k]);
    }
#pragma GCC unroll 6
    for (int w = 0; w < PW; ++w) {
      V x[step], v[PD];
#pragma GCC unroll 4
      for (int k = 0; k < step; ++k) x[k] = e[k][w];
      gradient_points<T, PD>(x, v);
      store_points<T, PD>(to + w * PD * point_stride, point_stride, v);
    }
  }
}

template <class T, int PW, int PD>
void winograd_gradient(const InputTransformArgs<T>& g) {
  each_columns<T, outputs_of(PW)>(g,
                                  [&](const auto& columns, std::int64_t c) { gradient_run<T, PW, PD>(g, columns, c); });
}

// ---- products to outputs ----------------------------------------------------------------------------------------

/// How a slice changes the outputs of a tile's first and second plane (the rows of A' along H). The first term of an
/// output is written, not added.
enum class StoreMode { nothing, set, add, subtract };
constexpr StoreMode into[5][2] = {{StoreMode::set, StoreMode::nothing},  // no transform along H
                                  {StoreMode::set, StoreMode::nothing},
                                  {StoreMode::add, StoreMode::set},
                                  {StoreMode::add, StoreMode::subtract},
                                  {StoreMode::nothing, StoreMode::subtract}};

/// Whether the outputs are complete after this slice, for one plane or for any plane.
constexpr bool is_last(int slice, int plane) { return slice == 0 || slice == 3 + plane; }
constexpr bool is_last(int slice) { return is_last(slice, 0) || is_last(slice, 1); }

/// Whether LevelCheck samples output k of row w of a long tile: the first and last output of row 0 and the inner
/// outputs of row 1, or all outputs if there is one row.
template <int Rows>
constexpr bool is_taken(int w, int k) {
  return Rows == 1 || (w == 0) == (k == 0 || k == 3);
}

/// Updates a block's levels with the outputs of a run. It keeps four vectors with the smallest squares of some sampled
/// outputs, lane by lane; `Tiles` consecutive tiles share the four vectors.
template <class T, bool Wanted, int Tiles = 1>
class LevelCheck {
  using S = Simd<T>;
  using V = typename S::V;

 public:
  /// Adds an output to the sum of squares of the current tile.
  __attribute__((always_inline)) void add(V v) {
    if constexpr (Wanted) tile_ = S::fma(v, v, tile_);
  }
  /// Adds a sampled output of tile t, as its i-th vector.
  __attribute__((always_inline)) void take(std::int64_t t, int i, V v) {
    if constexpr (Wanted) {
      V& taken = taken_[t % Tiles * (4 / Tiles) + i];
      taken = S::least(taken, v * v);
    }
  }
  __attribute__((always_inline)) void end_tile(std::int64_t t) {
    if constexpr (Wanted) {
      most_ = S::most(most_, tile_);
      total_ = total_ + tile_;
      tile_ = S::zero();
      if (t % Tiles == Tiles - 1) end_taken();
    }
  }
  /// Merges the result, for a vector with `channels` channels, into *levels.
  void report(std::int64_t channels, WinogradLevels<T>* levels) {
    if constexpr (Wanted) {
      end_taken();
      T most[S::lanes], total[S::lanes];
      S::store(most, most_);
      S::store(total, total_);
      for (int i = 0; i < S::lanes; ++i) {
        if (most[i] > levels->most) levels->most = most[i];
        levels->total += total[i];
      }
      for (const T least : least_)
        if (least / static_cast<T>(channels) < levels->least) levels->least = least / static_cast<T>(channels);
    }
  }

 private:
  static constexpr T none = std::numeric_limits<T>::infinity();
  __attribute__((always_inline)) void end_taken() {
    T sums[4];
    S::sum4(taken_, sums);
    for (int i = 0; i < 4; ++i) least_[i] = sums[i] < least_[i] ? sums[i] : least_[i];
    for (V& v : taken_) v = S::set1(none);
  }

  V tile_ = S::zero(), most_ = S::zero(), total_ = S::zero();
  V taken_[4] = {S::set1(none), S::set1(none), S::set1(none), S::set1(none)};
  T least_[4] = {none, none, none, none};
};

template <StoreMode Mode, class T, bool Masked>
inline __attribute__((always_inline)) typename Simd<T>::V put(const Channels<T, Masked>& io, T* y,
                                                              typename Simd<T>::V v) {
  if constexpr (Mode == StoreMode::add) v = io.load(y) + v;
  if constexpr (Mode == StoreMode::subtract) v = io.load(y) - v;
  io.store(y, v);
  return Masked ? io.load(y) : v;  // lanes after the last channel are unspecified
}

template <int Slice, class T, int PW, int PD>
void winograd_output_slice(const OutputTransformArgs<T>& g) {
  using V = typename Simd<T>::V;
  constexpr int rows = outputs_of(PW), columns = outputs_of(PD);
  each_vector<T>(g.channels, [&](std::int64_t c, auto io) {
    // local copies, because a vector store may change any memory
    const std::int64_t point_stride = g.point_stride, ld = g.ld, tiles = g.tiles, depth = g.depth, stride = g.stride;
    T* const y[2][2] = {{g.y[0][0], g.y[0][1]}, {g.y[1][0], g.y[1][1]}};
    const T* from = g.from + c;
    LevelCheck<T, PD == 6 && is_last(Slice), 2> check;
    const auto put_row = [&](auto plane, int w, std::int64_t t, int k, std::int64_t at, V v)
        __attribute__((always_inline)) {
      constexpr int h = decltype(plane)::value;
      if constexpr (into[Slice][h] != StoreMode::nothing) {
        if (y[h][w] == nullptr) return;
        const V sum = put<into[Slice][h]>(io, y[h][w] + at, v);
        if constexpr (is_last(Slice, h)) {
          check.add(sum);
          if (is_taken<rows>(w, k)) check.take(t, rows == 1 ? k / 2 : w, sum);
        }
      }
    };
    for (std::int64_t t = 0; t < tiles; ++t, from += ld) {
      V s[columns][PW];
#pragma GCC unroll 6
      for (int w = 0; w < PW; ++w) {
        V m[PD], inverse[columns];
#pragma GCC unroll 6
        for (int k = 0; k < PD; ++k) m[k] = Simd<T>::load(from + w * PD * point_stride + k * point_stride);
        output_points<T, PD>(m, inverse);
#pragma GCC unroll 4
        for (int k = 0; k < columns; ++k) s[k][w] = inverse[k];
      }
#pragma GCC unroll 4
      for (int k = 0; k < columns; ++k) {
        const std::int64_t d = t * columns + k;
        if (d >= depth) break;
        V out[rows];
        output_points<T, PW>(s[k], out);
        const std::int64_t at = d * stride + c;
#pragma GCC unroll 4
        for (int w = 0; w < rows; ++w) {
          put_row(Int<0>(), w, t, k, at, out[w]);
          put_row(Int<1>(), w, t, k, at, out[w]);
        }
      }
      check.end_tile(t);
    }
    check.report(io.n, g.levels);
  });
}

template <class T, int PW, int PD>
void winograd_output(const OutputTransformArgs<T>& g) {
  switch (g.slice) {
    case 0:
      return winograd_output_slice<1, T, PW, PD>(g);
    case 1:
      return winograd_output_slice<2, T, PW, PD>(g);
    case 2:
      return winograd_output_slice<3, T, PW, PD>(g);
    case 3:
      return winograd_output_slice<4, T, PW, PD>(g);
    default:
      return winograd_output_slice<0, T, PW, PD>(g);
  }
}

template <class T>
void stream_lines(std::int64_t n, const T* from, T* to) {
  for (std::int64_t i = 0; i < n; i += Simd<T>::lanes) Simd<T>::stream(to + i, Simd<T>::load(from + i));
}

}  // namespace
}  // namespace vg::kernels
