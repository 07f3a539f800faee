// The weight transform of wide tiles (complex-inl.hpp), from taps to points, and its transpose. Included only by
// winograd/transforms/kernels.cpp; everything has internal linkage.
//
// H and W are transformed first: the nine taps at each depth become 36 numbers at once. Then D is transformed slice by
// slice, and complex numbers become the factors of Gauss' products.
#pragma once

#include <cstdint>

#include "voxgrad/framework/kernels/winograd/transforms/complex-inl.hpp"

namespace vg::kernels {
namespace {

/// Transforms the taps along an axis to its six points.
template <class T, class V>
inline __attribute__((always_inline)) void wide_weight_points(const V (&w)[3], V (&u)[6]) {
  const V quarter = constant<T>(0.25), half = constant<T>(0.5);
  const V even = quarter * (w[0] + w[2]), odd = quarter * w[1];
  u[0] = even + odd;
  u[1] = even - odd;
  u[2] = w[0];
  u[3] = w[2];
  u[4] = half * (w[0] - w[2]);
  u[5] = -half * w[1];
}

/// The transpose of wide_weight_points.
template <class T, class V>
inline __attribute__((always_inline)) void wide_weight_taps(const V (&u)[6], V (&w)[3]) {
  const V quarter = constant<T>(0.25), half = constant<T>(0.5);
  const V even = quarter * (u[0] + u[1]), c = half * u[4];
  w[0] = even + c + u[2];
  w[1] = quarter * (u[0] - u[1]) - half * u[5];
  w[2] = even - c + u[3];
}

/// Halves z and z', or in the transpose the result of from_complex.
template <class T, class V>
inline __attribute__((always_inline)) void halve(V& a, V& b, V& c, V& d) {
  const V half = constant<T>(0.5);
  a = half * a;
  b = half * b;
  c = half * c;
  d = half * d;
}

/// Stores the factors of Gauss' three products for a weight c + i d.
template <class T, class V>
inline __attribute__((always_inline)) void store_weight(T* u, std::int64_t point, V c, V d) {
  Simd<T>::store(u, c);
  Simd<T>::store(u + point, d - c);
  Simd<T>::store(u + 2 * point, c + d);
}

/// Computes the gradient of a weight c + i d from the gradients of its three factors.
template <class T, class V>
inline __attribute__((always_inline)) void load_weight(const T* u, std::int64_t point, V& c, V& d) {
  using S = Simd<T>;
  const V second = S::load(u + point), third = S::load(u + 2 * point);
  c = S::load(u) - second + third;
  d = second + third;
}

/// Transforms the numbers (h, w) of a slice, with three taps along D each, to points.
template <PointPair H, PointPair W, class T, class V>
inline void weight_slice(const V (&all)[6][6][3], T* u, std::int64_t point) {
  constexpr int h0 = 2 * static_cast<int>(H), w0 = 2 * static_cast<int>(W);
  V e[4][3];
  for (int i = 0; i < 4; ++i)
    for (int k = 0; k < 3; ++k)
      e[i][k] = H == PointPair::plus_minus_i && W != PointPair::plus_minus_i ? all[h0 + i % 2][w0 + i / 2][k]
                                                                             : all[h0 + i / 2][w0 + i % 2][k];
  if constexpr (H == PointPair::plus_minus_i && W == PointPair::plus_minus_i)
    for (int k = 0; k < 3; ++k) {
      to_complex(e[0][k], e[1][k], e[2][k], e[3][k]);
      halve<T>(e[0][k], e[1][k], e[2][k], e[3][k]);
    }
  if constexpr (points_of(H, W) == wide::real_points) {
    for (int i = 0; i < 4; ++i, u += 7 * point) {
      V v[6];
      wide_weight_points<T>(e[i], v);
      for (int k = 0; k < 4; ++k) Simd<T>::store(u + k * point, v[k]);
      store_weight(u + 4 * point, point, v[4], v[5]);
    }
    return;
  }
  for (int i = 0; i < 4; i += 2, u += 18 * point) {
    V re[6], im[6];
    wide_weight_points<T>(e[i], re);
    wide_weight_points<T>(e[i + 1], im);
    for (int k = 0; k < 4; ++k) store_weight(u + 3 * k * point, point, re[k], im[k]);
    to_complex(re[4], re[5], im[4], im[5]);
    halve<T>(re[4], re[5], im[4], im[5]);
    store_weight(u + 12 * point, point, re[4], re[5]);
    store_weight(u + 15 * point, point, im[4], im[5]);
  }
}

/// The transpose of weight_slice.
template <PointPair H, PointPair W, class T, class V>
inline void weight_numbers(const T* u, std::int64_t point, V (&all)[6][6][3]) {
  constexpr int h0 = 2 * static_cast<int>(H), w0 = 2 * static_cast<int>(W);
  V e[4][3];
  if constexpr (points_of(H, W) == wide::real_points) {
    for (int i = 0; i < 4; ++i, u += 7 * point) {
      V v[6];
      for (int k = 0; k < 4; ++k) v[k] = Simd<T>::load(u + k * point);
      load_weight(u + 4 * point, point, v[4], v[5]);
      wide_weight_taps<T>(v, e[i]);
    }
  } else {
    for (int i = 0; i < 4; i += 2, u += 18 * point) {
      V re[6], im[6];
      for (int k = 0; k < 4; ++k) load_weight(u + 3 * k * point, point, re[k], im[k]);
      load_weight(u + 12 * point, point, re[4], re[5]);
      load_weight(u + 15 * point, point, im[4], im[5]);
      from_complex(re[4], re[5], im[4], im[5]);
      halve<T>(re[4], re[5], im[4], im[5]);
      wide_weight_taps<T>(re, e[i]);
      wide_weight_taps<T>(im, e[i + 1]);
    }
    if constexpr (H == PointPair::plus_minus_i && W == PointPair::plus_minus_i)
      for (int k = 0; k < 3; ++k) {
        from_complex(e[0][k], e[1][k], e[2][k], e[3][k]);
        halve<T>(e[0][k], e[1][k], e[2][k], e[3][k]);
      }
  }
  for (int i = 0; i < 4; ++i)
    for (int k = 0; k < 3; ++k)
      (H == PointPair::plus_minus_i && W != PointPair::plus_minus_i ? all[h0 + i % 2][w0 + i / 2][k]
                                                                    : all[h0 + i / 2][w0 + i % 2][k]) = e[i][k];
}

/// f(H, W, number of points of the slices before) for each slice from `first` to `first + n - 1`.
template <class F>
inline void each_slice(int first, int n, const F& f) {
  std::int64_t before = 0;
  each_pair(0, 3, [&](auto h) {
    each_pair(0, 3, [&](auto w) {
      constexpr PointPair H = decltype(h)::value, W = decltype(w)::value;
      const int slice = 3 * static_cast<int>(H) + static_cast<int>(W);
      if (slice < first || slice >= first + n) return;
      f(h, w, before);
      before += points_of(H, W);
    });
  });
}

/// The 36 numbers along H and W for each of three taps along D, and the transform from nine taps to 36 numbers.
template <class T>
struct WideWeights {
  using V = typename Simd<T>::V;
  V all[6][6][3];
  template <class Load>
  __attribute__((always_inline)) void of_taps(const Load& load) {
    for (int k = 0; k < 3; ++k) {
      V by_h[3][6];  // [w][h]
      for (int w = 0; w < 3; ++w) {
        const V taps[3] = {load(0, w, k), load(1, w, k), load(2, w, k)};
        wide_weight_points<T>(taps, by_h[w]);
      }
      for (int h = 0; h < 6; ++h) {
        const V taps[3] = {by_h[0][h], by_h[1][h], by_h[2][h]};
        V points[6];
        wide_weight_points<T>(taps, points);
        for (int w = 0; w < 6; ++w) all[h][w][k] = points[w];
      }
    }
  }
  template <class Store>
  __attribute__((always_inline)) void to_taps(const Store& store) const {
    for (int k = 0; k < 3; ++k) {
      V by_h[3][6];
      for (int h = 0; h < 6; ++h) {
        V points[6], taps[3];
        for (int w = 0; w < 6; ++w) points[w] = all[h][w][k];
        wide_weight_taps<T>(points, taps);
        for (int w = 0; w < 3; ++w) by_h[w][h] = taps[w];
      }
      for (int w = 0; w < 3; ++w) {
        V taps[3];
        wide_weight_taps<T>(by_h[w], taps);
        for (int h = 0; h < 3; ++h) store(h, w, k, taps[h]);
      }
    }
  }
};

template <class T>
void wide_weights(const WeightTransformArgs<T, const T>& a) {
  using S = Simd<T>;
  WideWeights<T> numbers;
  for (std::int64_t r = 0; r < a.rows; ++r)
    for (std::int64_t c = 0; c < a.width; c += S::lanes) {
      const std::int64_t n = a.channels - c;
      const T* const w = a.w + r * a.row_stride + c;
      numbers.of_taps([&](int h, int j, int k) __attribute__((always_inline)) {
        const T* const at = w + ((h * 3 + j) * 3 + k) * a.tap_stride;
        return n >= S::lanes ? S::load(at) : n > 0 ? S::load_first(at, n) : S::zero();
      });
      T* const u = a.u + r * a.u_stride + c;
      each_slice(a.slice, a.slices, [&](auto h, auto j, std::int64_t before) {
        weight_slice<decltype(h)::value, decltype(j)::value>(numbers.all, u + before * a.point_stride, a.point_stride);
      });
    }
}

template <class T>
void wide_taps(const WeightTransformArgs<const T, T>& a) {
  WideWeights<T> numbers;
  for (std::int64_t r = 0; r < a.rows; ++r)
    each_vector<T>(a.channels, [&](std::int64_t c, auto io) {
      const T* const u = a.u + r * a.u_stride + c;
      each_slice(0, 9, [&](auto h, auto j, std::int64_t before) {
        weight_numbers<decltype(h)::value, decltype(j)::value>(u + before * a.point_stride, a.point_stride,
                                                               numbers.all);
      });
      T* const w = a.w + r * a.row_stride + c;
      numbers.to_taps([&](int h, int j, int k, typename Simd<T>::V v)
                          __attribute__((always_inline)) { io.store(w + ((h * 3 + j) * 3 + k) * a.tap_stride, v); });
    });
}

}  // namespace
}  // namespace vg::kernels
