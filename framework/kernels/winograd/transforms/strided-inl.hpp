// The transforms of convolutions with stride 2 and three taps, and of their transposes (input dilation 2), by
// Winograd's F(2, 2). Included only by winograd/transforms/kernels.cpp, after real-inl.hpp; everything has internal
// linkage.
//
// In one dimension two outputs y0, y1 of x0 to x4 take five products instead of six. Even elements use two taps, which
// is F(2, 2), and odd elements use one tap:
//   y0 = m0 + m1 + m3, y1 = m1 + m2 + m4   of   m = (w0 (x0 - x2), (w0 + w2) x2, w2 (x4 - x2), w1 x1, w1 x3).
// Dimensions nest: 125 products for 8 outputs instead of 216. Two products share a weight, and products that contribute
// to the same single output are summed at once. So only 125 points of x, 64 of w and 27 of y are stored in memory.
// grad_weight is the transpose with respect to w. The transpose with respect to x is, for four elements of dx, with d =
// dy:
//   (n0 + n1, n3, n1 + n2, n4)   of   n = (w0 (d0 - d1), (w0 + w2) d1, w2 (d2 - d1), w1 d1, w1 d2)
// for a reversed kernel: 64 points of dy and 125 products give 64 elements. All transforms are sums, exact on small
// integers.
//
// Lanes run over channels. A transform moves along a run of tiles, adjacent along D, and keeps the columns that
// consecutive tiles share in registers.
#pragma once

#include <cstdint>

#include "voxgrad/framework/kernels/winograd/transforms/real-inl.hpp"

namespace vg::kernels {
namespace {

/// The input transform along an axis, of x: `points` values from `size` elements get(0) ...; the next tile is `step`
/// elements further.
struct StridedInput {
  static constexpr int size = 5, points = 5, step = 4;
  template <int P, class V, class Get>
  static inline __attribute__((always_inline)) V point(const Get& get) {
    if constexpr (P == 0) return get(0) - get(2);
    if constexpr (P == 1) return get(2);
    if constexpr (P == 2) return get(4) - get(2);
    if constexpr (P == 3) return get(1);
    if constexpr (P == 4) return get(3);
  }
};
/// The transform of dy in grad_weight.
struct StridedGradient {
  static constexpr int size = 2, points = 3, step = 2;
  template <int P, class V, class Get>
  static inline __attribute__((always_inline)) V point(const Get& get) {
    if constexpr (P == 0) return get(0);
    if constexpr (P == 1) return get(0) + get(1);
    if constexpr (P == 2) return get(1);
  }
};
/// The transform of dy in backward-data, that is, of an input with dilation 2.
struct DilatedInput {
  static constexpr int size = 3, points = 4, step = 2;
  template <int P, class V, class Get>
  static inline __attribute__((always_inline)) V point(const Get& get) {
    if constexpr (P == 0) return get(0) - get(1);
    if constexpr (P == 1) return get(1);
    if constexpr (P == 2) return get(2) - get(1);
    if constexpr (P == 3) return get(2);
  }
};

/// f(Int<0>()), f(Int<1>()) ... f(Int<N - 1>()).
template <int N, class F>
inline __attribute__((always_inline)) void each_constant(const F& f) {
  if constexpr (N > 0) {
    each_constant<N - 1>(f);
    f(Int<N - 1>());
  }
}

/// Transforms the tiles of a run at point H along H and all points along W and D.
template <class Axis, int H, bool Inside, class T, class Io>
__attribute__((noinline)) void strided_plane(const InputTransformArgs<T>& g, std::int64_t c, T* to, const Io& io) {
  using S = Simd<T>;
  using V = typename S::V;
  constexpr int size = Axis::size, points = Axis::points, step = Axis::step, kept = size > step ? size - step : 0;
  const std::int64_t depth = g.depth, stride = g.stride, point_stride = g.point_stride;
  const T* rows[size][size];
  for (int h = 0; h < size; ++h)
    for (int w = 0; w < size; ++w) rows[h][w] = g.rows[h][w] == nullptr ? nullptr : g.rows[h][w] + c;
  V q[size][points];
  const auto load = [&](int k, std::int64_t d) __attribute__((always_inline)) {
    if (d < 0 || d >= depth) {
#pragma GCC unroll 5
      for (int w = 0; w < points; ++w) q[k][w] = S::zero();
      return;
    }
    const std::int64_t at = d * stride;
    V x[size];
#pragma GCC unroll 5
    for (int w = 0; w < size; ++w)
      x[w] = Axis::template point<H, V>([&](int h) __attribute__((always_inline)) {
        return Inside || rows[h][w] != nullptr ? io.load(rows[h][w] + at) : S::zero();
      });
    each_constant<points>([&](auto w) __attribute__((always_inline)) {
      q[k][w.value] = Axis::template point<w.value, V>([&](int r) __attribute__((always_inline)) { return x[r]; });
    });
  };
  std::int64_t d = g.first;
#pragma GCC unroll 5
  for (int k = 0; k < kept; ++k) load(k, d + k);
  for (std::int64_t t = 0; t < g.tiles; ++t, d += step, to += g.ld) {
#pragma GCC unroll 5
    for (int k = kept; k < size; ++k) load(k, d + k);
    each_constant<points>([&](auto w) __attribute__((always_inline)) {
      each_constant<points>([&](auto k) __attribute__((always_inline)) {
        S::store(to + (w.value * points + k.value) * point_stride,
                 Axis::template point<k.value, V>([&](int i) __attribute__((always_inline)) { return q[i][w.value]; }));
      });
    });
#pragma GCC unroll 5
    for (int k = 0; k < kept; ++k)
#pragma GCC unroll 5
      for (int w = 0; w < points; ++w) q[k][w] = q[k + step][w];
  }
}

/// Transforms a run; with n points along each axis, point (h, w, d) has the number (h * n + w) * n + d.
template <class Axis, class T>
void strided_points(const InputTransformArgs<T>& g) {
  bool inside = true;
  for (int h = 0; h < Axis::size; ++h)
    for (int w = 0; w < Axis::size; ++w) inside = inside && g.rows[h][w] != nullptr;
  each_vector<T>(g.channels, [&](std::int64_t c, auto io) {
    T* to = g.to + c;
    each_constant<Axis::points>([&](auto h) {
      if (!io.masked && inside)  // as in each_columns
        strided_plane<Axis, h.value, !io.masked>(g, c, to, io);
      else
        strided_plane<Axis, h.value, false>(g, c, to, io);
      to += Axis::points * Axis::points * g.point_stride;
    });
  });
}

/// The inverse transform along an axis: `outputs` outputs from `points` values.
struct StridedOutput {
  static constexpr int points = 3, outputs = 2;
  template <class V>
  static inline __attribute__((always_inline)) void apply(const V (&m)[points], V (&y)[outputs]) {
    y[0] = m[0] + m[1];
    y[1] = m[1] + m[2];
  }
};
struct DilatedOutput {
  static constexpr int points = 5, outputs = 4;
  template <class V>
  static inline __attribute__((always_inline)) void apply(const V (&m)[points], V (&y)[outputs]) {
    y[0] = m[0] + m[1];
    y[1] = m[3];
    y[2] = m[1] + m[2];
    y[3] = m[4];
  }
};

/// The outputs along W and D of a tile at one point along H.
template <class Axis, class T, class V>
inline __attribute__((always_inline)) void strided_outputs_of(const T* m, std::int64_t point_stride,
                                                              V (&y)[Axis::outputs][Axis::outputs]) {
  constexpr int points = Axis::points, outputs = Axis::outputs;
  V by_d[outputs][points];
#pragma GCC unroll 5
  for (int w = 0; w < points; ++w) {
    V v[points], out[outputs];
#pragma GCC unroll 5
    for (int d = 0; d < points; ++d) v[d] = Simd<T>::load(m + (w * points + d) * point_stride);
    Axis::apply(v, out);
#pragma GCC unroll 4
    for (int d = 0; d < outputs; ++d) by_d[d][w] = out[d];
  }
#pragma GCC unroll 4
  for (int d = 0; d < outputs; ++d) {
    V out[outputs];
    Axis::apply(by_d[d], out);
#pragma GCC unroll 4
    for (int w = 0; w < outputs; ++w) y[w][d] = out[w];
  }
}

template <class Axis, class T>
void strided_output(const OutputTransformArgs<T>& g) {
  using V = typename Simd<T>::V;
  constexpr int points = Axis::points, outputs = Axis::outputs;
  const std::int64_t point_stride = g.point_stride, depth = g.depth, stride = g.stride;
  const bool stream = g.stream && can_stream && Simd<T>::lanes * sizeof(T) == 64;
  T* rows[outputs][outputs];
  for (int h = 0; h < outputs; ++h)
    for (int w = 0; w < outputs; ++w) rows[h][w] = g.y[h][w];
  each_vector<T>(g.channels, [&](std::int64_t c, auto io) {
    const T* from = g.from + c;
    std::int64_t first = g.first;
    for (std::int64_t t = 0; t < g.tiles; ++t, from += g.ld, first += outputs) {
      V planes[points][outputs][outputs];
      for (int h = 0; h < points; ++h)
        strided_outputs_of<Axis>(from + h * points * points * point_stride, point_stride, planes[h]);
      for (int w = 0; w < outputs; ++w)
        for (int d = 0; d < outputs; ++d) {
          if (first + d < 0 || first + d >= depth) continue;
          V m[points], y[outputs];
#pragma GCC unroll 5
          for (int h = 0; h < points; ++h) m[h] = planes[h][w][d];
          Axis::apply(m, y);
          const std::int64_t at = (first + d) * stride + c;
#pragma GCC unroll 4
          for (int h = 0; h < outputs; ++h)
            if (rows[h][w] == nullptr)
              continue;
            else if (stream)
              Simd<T>::stream(rows[h][w] + at, y[h]);
            else
              io.store(rows[h][w] + at, y[h]);
        }
    }
  });
}

// ---- weights ------------------------------------------------------------------------------------------------------

template <class V>
inline __attribute__((always_inline)) void strided_weight_points(const V (&w)[3], V (&u)[4]) {
  u[0] = w[0];
  u[1] = w[0] + w[2];
  u[2] = w[2];
  u[3] = w[1];
}
template <class V>
inline __attribute__((always_inline)) void strided_weight_taps(const V (&u)[4], V (&w)[3]) {
  w[0] = u[0] + u[1];
  w[1] = u[3];
  w[2] = u[1] + u[2];
}

/// Applies `axis`, From numbers to To numbers, along all three axes: from get(i), i < From^3, to put(i, v), i < To^3.
template <int From, int To, class V, class Axis, class Get, class Put>
inline void nested(const Axis& axis, const Get& get, const Put& put) {
  V by_d[From][From][To], by_w[From][To][To];
  for (int h = 0; h < From; ++h)
    for (int w = 0; w < From; ++w) {
      V v[From];
      for (int d = 0; d < From; ++d) v[d] = get((h * From + w) * From + d);
      axis(v, by_d[h][w]);
    }
  for (int h = 0; h < From; ++h)
    for (int d = 0; d < To; ++d) {
      V v[From], out[To];
      for (int w = 0; w < From; ++w) v[w] = by_d[h][w][d];
      axis(v, out);
      for (int w = 0; w < To; ++w) by_w[h][w][d] = out[w];
    }
  for (int w = 0; w < To; ++w)
    for (int d = 0; d < To; ++d) {
      V v[From], out[To];
      for (int h = 0; h < From; ++h) v[h] = by_w[h][w][d];
      axis(v, out);
      for (int h = 0; h < To; ++h) put((h * To + w) * To + d, out[h]);
    }
}

/// Transforms rows of 27 taps to 64 points, in whole vectors up to `width` (with zeros after the last channel).
template <class T>
void strided_weights(const WeightTransformArgs<T, const T>& a) {
  using S = Simd<T>;
  using V = typename S::V;
  for (std::int64_t r = 0; r < a.rows; ++r)
    for (std::int64_t c = 0; c < a.width; c += S::lanes) {
      const std::int64_t n = a.channels - c;
      const T* const w = a.w + r * a.row_stride + c;
      T* const u = a.u + r * a.u_stride + c;
      nested<3, 4, V>([](const V(&v)[3], V(&out)[4]) { strided_weight_points(v, out); },
                      [&](int tap) {
                        const T* const at = w + tap * a.tap_stride;
                        return n >= S::lanes ? S::load(at) : n > 0 ? S::load_first(at, n) : S::zero();
                      },
                      [&](int point, V v) { S::store(u + point * a.point_stride, v); });
    }
}

/// The transpose of strided_weights.
template <class T>
void strided_taps(const WeightTransformArgs<const T, T>& a) {
  using S = Simd<T>;
  using V = typename S::V;
  for (std::int64_t r = 0; r < a.rows; ++r)
    each_vector<T>(a.channels, [&](std::int64_t c, auto io) {
      const T* const u = a.u + r * a.u_stride + c;
      T* const w = a.w + r * a.row_stride + c;
      nested<4, 3, V>([](const V(&v)[4], V(&out)[3]) { strided_weight_taps(v, out); },
                      [&](int point) { return S::load(u + point * a.point_stride); },
                      [&](int tap, V v) { io.store(w + tap * a.tap_stride, v); });
    });
}

}  // namespace
}  // namespace vg::kernels
