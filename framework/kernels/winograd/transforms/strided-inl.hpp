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

/// A transform along an axis, from `from` to `to` numbers: number i becomes element a[i] or, if b[i] >= 0, the sum or
/// difference of elements a[i] and b[i]. Consecutive tiles of inputs are `step` elements apart.
struct AxisSums {
  int from, to, step;
  bool subtract;
  int a[5], b[5];
};
// of x; of dy in grad_weight; and of dy in backward-data, that is, of an input with dilation 2
constexpr AxisSums strided_input = {5, 5, 4, true, {0, 2, 4, 1, 3}, {2, -1, 2, -1, -1}};
constexpr AxisSums strided_gradient = {2, 3, 2, false, {0, 0, 1}, {-1, 1, -1}};
constexpr AxisSums dilated_input = {3, 4, 2, true, {0, 1, 2, 2}, {1, -1, 1, -1}};
// the inverse transforms: from products to outputs
constexpr AxisSums strided_outputs = {3, 2, 0, false, {0, 1}, {1, 2}};
constexpr AxisSums dilated_outputs = {5, 4, 0, false, {0, 3, 1, 4}, {1, -1, 2, -1}};
// of weights: from taps to points and the transpose
constexpr AxisSums strided_weight_points = {3, 4, 0, false, {0, 0, 2, 1}, {-1, 2, -1, -1}};
constexpr AxisSums strided_weight_taps = {4, 3, 0, false, {0, 3, 1}, {1, -1, 2}};

/// Number I of the transform; get(i) returns element i.
template <const AxisSums& Axis, int I, class Get>
inline __attribute__((always_inline)) auto number(const Get& get) {
  constexpr int a = Axis.a[I], b = Axis.b[I];
  if constexpr (b < 0)
    return get(a);
  else if constexpr (Axis.subtract)
    return get(a) - get(b);
  else
    return get(a) + get(b);
}

/// f(Int<0>()), f(Int<1>()) ... f(Int<N - 1>()).
template <int N, class F>
inline __attribute__((always_inline)) void each_constant(const F& f) {
  if constexpr (N > 0) {
    each_constant<N - 1>(f);
    f(Int<N - 1>());
  }
}

template <const AxisSums& Axis, class V>
inline __attribute__((always_inline)) void transform(const V (&in)[Axis.from], V (&out)[Axis.to]) {
  each_constant<Axis.to>([&](auto i) __attribute__((always_inline)) {
    out[i.value] = number<Axis, i.value>([&](int k) __attribute__((always_inline)) { return in[k]; });
  });
}

/// Transforms the tiles of a run at point H along H and all points along W and D.
template <const AxisSums& Axis, int H, bool Inside, class T, class Io>
__attribute__((noinline)) void strided_plane(const InputTransformArgs<T>& g, std::int64_t c, T* to, const Io& io) {
  using S = Simd<T>;
  using V = typename S::V;
  constexpr int size = Axis.from, points = Axis.to, step = Axis.step, kept = size > step ? size - step : 0;
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
      x[w] = number<Axis, H>([&](int h) __attribute__((always_inline)) {
        return Inside || rows[h][w] != nullptr ? io.load(rows[h][w] + at) : S::zero();
      });
    transform<Axis>(x, q[k]);
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
                 number<Axis, k.value>([&](int i) __attribute__((always_inline)) { return q[i][w.value]; }));
      });
    });
#pragma GCC unroll 5
    for (int k = 0; k < kept; ++k)
#pragma GCC unroll 5
      for (int w = 0; w < points; ++w) q[k][w] = q[k + step][w];
  }
}

/// Transforms a run; with n points along each axis, point (h, w, d) has the number (h * n + w) * n + d.
template <const AxisSums& Axis, class T>
void strided_points(const InputTransformArgs<T>& g) {
  bool inside = true;
  for (int h = 0; h < Axis.from; ++h)
    for (int w = 0; w < Axis.from; ++w) inside = inside && g.rows[h][w] != nullptr;
  each_vector<T>(g.channels, [&](std::int64_t c, auto io) {
    T* to = g.to + c;
    each_constant<Axis.to>([&](auto h) {
      if (!io.masked && inside)  // as in each_columns
        strided_plane<Axis, h.value, !io.masked>(g, c, to, io);
      else
        strided_plane<Axis, h.value, false>(g, c, to, io);
      to += Axis.to * Axis.to * g.point_stride;
    });
  });
}

/// The outputs along W and D of a tile at one point along H.
template <const AxisSums& Axis, class T, class V>
inline __attribute__((always_inline)) void strided_outputs_of(const T* m, std::int64_t point_stride,
                                                              V (&y)[Axis.to][Axis.to]) {
  constexpr int points = Axis.from, outputs = Axis.to;
  V by_d[outputs][points];
#pragma GCC unroll 5
  for (int w = 0; w < points; ++w) {
    V v[points], out[outputs];
#pragma GCC unroll 5
    for (int d = 0; d < points; ++d) v[d] = Simd<T>::load(m + (w * points + d) * point_stride);
    transform<Axis>(v, out);
#pragma GCC unroll 4
    for (int d = 0; d < outputs; ++d) by_d[d][w] = out[d];
  }
#pragma GCC unroll 4
  for (int d = 0; d < outputs; ++d) {
    V out[outputs];
    transform<Axis>(by_d[d], out);
#pragma GCC unroll 4
    for (int w = 0; w < outputs; ++w) y[w][d] = out[w];
  }
}

template <const AxisSums& Axis, class T>
void strided_output(const OutputTransformArgs<T>& g) {
  using V = typename Simd<T>::V;
  constexpr int points = Axis.from, outputs = Axis.to;
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
          transform<Axis>(m, y);
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

/// Transforms along all three axes, from get(i), i < from^3, to put(i, v), i < to^3.
template <const AxisSums& Axis, class V, class Get, class Put>
inline void nested(const Get& get, const Put& put) {
  constexpr int from = Axis.from, to = Axis.to;
  V by_d[from][from][to], by_w[from][to][to];
  for (int h = 0; h < from; ++h)
    for (int w = 0; w < from; ++w) {
      V v[from];
      for (int d = 0; d < from; ++d) v[d] = get((h * from + w) * from + d);
      transform<Axis>(v, by_d[h][w]);
    }
  for (int h = 0; h < from; ++h)
    for (int d = 0; d < to; ++d) {
      V v[from], out[to];
      for (int w = 0; w < from; ++w) v[w] = by_d[h][w][d];
      transform<Axis>(v, out);
      for (int w = 0; w < to; ++w) by_w[h][w][d] = out[w];
    }
  for (int w = 0; w < to; ++w)
    for (int d = 0; d < to; ++d) {
      V v[from], out[to];
      for (int h = 0; h < from; ++h) v[h] = by_w[h][w][d];
      transform<Axis>(v, out);
      for (int h = 0; h < to; ++h) put((h * to + w) * to + d, out[h]);
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
      nested<strided_weight_points, V>(
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
      nested<strided_weight_taps, V>([&](int point) { return S::load(u + point * a.point_stride); },
                                     [&](int tap, V v) { io.store(w + tap * a.tap_stride, v); });
    });
}

}  // namespace
}  // namespace vg::kernels
