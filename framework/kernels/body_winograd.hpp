// The transforms of Winograd's F(2, 3) in one to three dimensions. Included only by winograd_*.cpp, after one
// simd_*.hpp; everything has internal linkage. What they surround, the products by point, are the direct bodies.
//
// In one dimension two outputs of a 3-tap kernel take 4 products instead of 6:
//   y = A' [(G w) * (B' x)],   B' x = (x0 - x2, x1 + x2, x2 - x1, x1 - x3),   A' m = (m0 + m1 + m2, m1 - m2 - m3),
//   G w = (w0, (w0 + w1 + w2) / 2, (w0 - w1 + w2) / 2, w2);   dimensions nest: 64 products for 8 outputs instead of
//   216.
// The gradient by w is the transpose of that: dw = G' [(B' x) * (A dy)], A dy = (g0, g0 + g1, g0 - g1, -g1).
//
// Lanes run over channels. A slice is one point along H: its two planes are combined as they are loaded, W is done in
// registers, and along D a tile reuses two of the four columns of the tile before it. So a transform reads each element
// of a plane pair once a run and writes full vectors; nothing is padded or copied, rows outside are zero by pointer.
#pragma once

#include <cstdint>

#include "framework/kernels/constant.hpp"
#include "framework/kernels/winograd_table.hpp"

namespace vg::kernels {
namespace {

/// Loads and stores of one vector of channels, `n` lanes of it.
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

template <int P, class V>
inline __attribute__((always_inline)) void input_points(const V (&x)[P], V (&v)[P]) {
  if constexpr (P == 1) {
    v[0] = x[0];
  } else {
    v[0] = x[0] - x[2];
    v[1] = x[1] + x[2];
    v[2] = x[2] - x[1];
    v[3] = x[1] - x[3];
  }
}

template <int P, class V>
inline __attribute__((always_inline)) void gradient_points(const V (&g)[P == 4 ? 2 : 1], V (&e)[P]) {
  e[0] = g[0];
  if constexpr (P == 4) {
    e[1] = g[0] + g[1];
    e[2] = g[0] - g[1];
    e[3] = -g[1];
  }
}

template <int P, class V>
inline __attribute__((always_inline)) void output_points(const V (&m)[P], V (&y)[P == 4 ? 2 : 1]) {
  if constexpr (P == 1) {
    y[0] = m[0];
  } else {
    y[0] = m[0] + m[1] + m[2];
    y[1] = m[1] - m[2] - m[3];
  }
}

// ---- x and gradients to points ----------------------------------------------------------------------------------

const double zeros[64] = {};  // what a row outside is read from

/// The rows of a slice: where all are inside, they are one row apart.
template <class T, int Rows>
struct InsideRows {
  const T *first_a, *first_b;
  std::int64_t row;
  explicit InsideRows(const WinogradGather<T>& g)
      : first_a(g.a[0]), first_b(g.b[0]), row(Rows == 1 ? 0 : g.a[1] - g.a[0]) {}
  const T* a(int r, std::int64_t at) const { return first_a + at + r * row; }
  const T* b(int r, std::int64_t at) const { return first_b + at + r * row; }
  static bool all(const WinogradGather<T>& g) {
    bool inside = true;
    for (int r = 0; r < Rows; ++r) inside = inside && g.a[r] != nullptr && g.b[r] != nullptr;
    return inside;
  }
};

/// Else rows outside read zeros: their offsets are masked away.
template <class T, int Rows>
struct AnyRows {
  const T *rows_a[Rows], *rows_b[Rows];
  std::int64_t in_a[Rows], in_b[Rows];
  explicit AnyRows(const WinogradGather<T>& g) {
    const T* const zero = reinterpret_cast<const T*>(zeros);
    for (int r = 0; r < Rows; ++r) {
      rows_a[r] = g.a[r] != nullptr ? g.a[r] : zero;
      rows_b[r] = g.b[r] != nullptr ? g.b[r] : zero;
      in_a[r] = g.a[r] != nullptr ? -1 : 0;
      in_b[r] = g.b[r] != nullptr ? -1 : 0;
    }
  }
  const T* a(int r, std::int64_t at) const { return rows_a[r] + (at & in_a[r]); }
  const T* b(int r, std::int64_t at) const { return rows_b[r] + (at & in_b[r]); }
};

/// The columns of a slice: a + sign * b in each row, at depth d; zero where d is outside.
template <class T, class Planes, bool Masked>
struct Columns {
  using S = Simd<T>;
  const Planes planes;
  const Channels<T, Masked> io;
  const std::int64_t depth, stride, channel;
  const typename S::V sign;
  template <int Rows>
  __attribute__((always_inline)) void load(std::int64_t d, typename S::V (&x)[Rows]) const {
    if (d < 0 || d >= depth) {
#pragma GCC unroll 4
      for (int r = 0; r < Rows; ++r) x[r] = S::zero();
      return;
    }
    const std::int64_t at = d * stride + channel;
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r) x[r] = S::fma(sign, io.load(planes.b(r, at)), io.load(planes.a(r, at)));
  }
};

/// f(Columns, channel) for each vector of channels.
template <class T, int Rows, class F>
inline void each_columns(const WinogradGather<T>& g, const F& f) {
  each_vector<T>(g.channels, [&](std::int64_t c, auto io) {
    constexpr bool masked = io.masked;
    const auto with = [&](auto planes) {
      f(Columns<T, decltype(planes), masked>{planes, io, g.depth, g.stride, c, Simd<T>::set1(g.sign)}, c);
    };
    if (InsideRows<T, Rows>::all(g))
      with(InsideRows<T, Rows>(g));
    else
      with(AnyRows<T, Rows>(g));
  });
}

/// v[k] at to + k * point_stride: addresses are taken from locals, for a vector store could change any memory.
template <class T, int P>
inline __attribute__((always_inline)) void store_points(T* to, std::int64_t point_stride,
                                                        const typename Simd<T>::V (&v)[P]) {
#pragma GCC unroll 4
  for (int k = 0; k < P; ++k) Simd<T>::store(to + k * point_stride, v[k]);
}

template <class T, int PW, int PD, class Source>
__attribute__((noinline)) void input_run(const WinogradGather<T>& g, const Source& columns, std::int64_t c) {
  using V = typename Simd<T>::V;
  constexpr int step = PD == 4 ? 2 : 1, kept = PD - step;
  const Source source = columns;
  const std::int64_t point_stride = g.point_stride, ld = g.ld, end = g.first + kept + g.tiles * step;
  V q[PD][PW];
  const auto load = [&](int k, std::int64_t d) __attribute__((always_inline)) {
    V x[PW];
    source.load(d, x);
    input_points<PW>(x, q[k]);
  };
#pragma GCC unroll 4
  for (int k = 0; k < kept; ++k) load(k, g.first + k);
  T* to = g.to + c;
  for (std::int64_t d = g.first + kept; d < end; d += step, to += ld) {
#pragma GCC unroll 4
    for (int k = kept; k < PD; ++k) load(k, d + k - kept);
#pragma GCC unroll 4
    for (int w = 0; w < PW; ++w) {
      V x[PD], v[PD];
#pragma GCC unroll 4
      for (int k = 0; k < PD; ++k) x[k] = q[k][w];
      input_points<PD>(x, v);
      store_points<T, PD>(to + w * PD * point_stride, point_stride, v);
    }
#pragma GCC unroll 4
    for (int k = 0; k < kept; ++k)
#pragma GCC unroll 4
      for (int w = 0; w < PW; ++w) q[k][w] = q[k + step][w];
  }
}

template <class T, int PW, int PD>
void winograd_input(const WinogradGather<T>& g) {
  each_columns<T, PW>(g, [&](const auto& columns, std::int64_t c) { input_run<T, PW, PD>(g, columns, c); });
}

template <class T, int PW, int PD, class Source>
__attribute__((noinline)) void gradient_run(const WinogradGather<T>& g, const Source& columns, std::int64_t c) {
  using V = typename Simd<T>::V;
  constexpr int rows = PW == 4 ? 2 : 1, step = PD == 4 ? 2 : 1;
  const Source source = columns;
  const std::int64_t point_stride = g.point_stride, ld = g.ld, end = g.first + g.tiles * step;
  T* to = g.to + c;
  for (std::int64_t d = g.first; d < end; d += step, to += ld) {
    V e[step][PW];
#pragma GCC unroll 2
    for (int k = 0; k < step; ++k) {
      V x[rows];
      source.load(d + k, x);
      gradient_points<PW>(x, e[k]);
    }
#pragma GCC unroll 4
    for (int w = 0; w < PW; ++w) {
      V x[step], v[PD];
#pragma GCC unroll 2
      for (int k = 0; k < step; ++k) x[k] = e[k][w];
      gradient_points<PD>(x, v);
      store_points<T, PD>(to + w * PD * point_stride, point_stride, v);
    }
  }
}

template <class T, int PW, int PD>
void winograd_gradient(const WinogradGather<T>& g) {
  each_columns<T, PW == 4 ? 2 : 1>(
      g, [&](const auto& columns, std::int64_t c) { gradient_run<T, PW, PD>(g, columns, c); });
}

// ---- products to outputs ----------------------------------------------------------------------------------------

/// What a slice does to the outputs of a tile's first and second plane: A' along H, its first term written, not added.
enum class Into { nothing, set, add, subtract };
constexpr Into into[5][2] = {{Into::set, Into::nothing},  // no transform along H
                             {Into::set, Into::nothing},
                             {Into::add, Into::set},
                             {Into::add, Into::subtract},
                             {Into::nothing, Into::subtract}};

template <Into How, class T, bool Masked>
inline __attribute__((always_inline)) void put(const Channels<T, Masked>& io, T* y, typename Simd<T>::V v) {
  if constexpr (How == Into::set) io.store(y, v);
  if constexpr (How == Into::add) io.store(y, io.load(y) + v);
  if constexpr (How == Into::subtract) io.store(y, io.load(y) - v);
}

template <int Slice, class T, int PW, int PD>
void winograd_output_slice(const WinogradScatter<T>& g) {
  using V = typename Simd<T>::V;
  constexpr int rows = PW == 4 ? 2 : 1, columns = PD == 4 ? 2 : 1;
  each_vector<T>(g.channels, [&](std::int64_t c, auto io) {
    // copies: a vector store could change any memory
    const std::int64_t point_stride = g.point_stride, ld = g.ld, tiles = g.tiles, depth = g.depth, stride = g.stride;
    T* const y[2][2] = {{g.y[0][0], g.y[0][1]}, {g.y[1][0], g.y[1][1]}};
    const T* from = g.from + c;
    for (std::int64_t t = 0; t < tiles; ++t, from += ld) {
      V s[columns][PW];
#pragma GCC unroll 4
      for (int w = 0; w < PW; ++w) {
        V m[PD], inverse[columns];
#pragma GCC unroll 4
        for (int k = 0; k < PD; ++k) m[k] = Simd<T>::load(from + w * PD * point_stride + k * point_stride);
        output_points<PD>(m, inverse);
#pragma GCC unroll 2
        for (int k = 0; k < columns; ++k) s[k][w] = inverse[k];
      }
#pragma GCC unroll 2
      for (int k = 0; k < columns; ++k) {
        const std::int64_t d = t * columns + k;
        if (d >= depth) break;
        V out[rows];
        output_points<PW>(s[k], out);
        const std::int64_t at = d * stride + c;
#pragma GCC unroll 2
        for (int w = 0; w < rows; ++w) {
          if (y[0][w] != nullptr) put<into[Slice][0]>(io, y[0][w] + at, out[w]);
          if (y[1][w] != nullptr) put<into[Slice][1]>(io, y[1][w] + at, out[w]);
        }
      }
    }
  });
}

template <class T, int PW, int PD>
void winograd_output(const WinogradScatter<T>& g) {
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

}  // namespace
}  // namespace vg::kernels
