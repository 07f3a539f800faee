// The weight transforms G of F(2, 3) and long tiles (real-inl.hpp) and of wide tiles (complex-inl.hpp), from taps to
// points, and their transposes. Included only by winograd/transforms/kernels.cpp; everything has internal linkage.
//
// Like tiles, real weights are transformed slice by slice, one point along H at a time. Up to three planes of taps are
// combined while they are loaded; then D and W are transformed in registers (16 vectors). The transpose combines all
// slices to one plane of taps after the other, so that each tap is written once.
//
// Of the weights of wide tiles, H and W are transformed first: the nine taps at each depth become 36 numbers at once.
// Then D is transformed slice by slice, and complex numbers become the factors of Gauss' products.
#pragma once

#include <cstdint>

#include "voxgrad/framework/kernels/winograd/transforms/complex-inl.hpp"

namespace vg::kernels {
namespace {

// ---- F(2, 3) and long tiles -------------------------------------------------------------------------------------

constexpr int taps_of(int points) { return points == 1 ? 1 : 3; }

template <class T, int P, class V>
inline __attribute__((always_inline)) void weight_points(const V (&w)[taps_of(P)], V half, V (&u)[P]) {
  using S = Simd<T>;
  namespace L = real_points;
  if constexpr (P == 6) {
    const V even_a = constant<T>(L::of_a) * S::fma(constant<T>(L::aa), w[2], w[0]);
    const V even_b = constant<T>(L::of_b) * S::fma(constant<T>(L::bb), w[2], w[0]);
    u[0] = constant<T>(L::of_zero) * w[0];
    u[1] = S::fma(constant<T>(L::of_a * L::a), w[1], even_a);
    u[2] = S::fma(constant<T>(-L::of_a * L::a), w[1], even_a);
    u[3] = S::fma(constant<T>(L::of_b * L::b), w[1], even_b);
    u[4] = S::fma(constant<T>(-L::of_b * L::b), w[1], even_b);
    u[5] = w[2];
    return;
  }
  u[0] = w[0];
  if constexpr (P == 4) {
    const V even = half * (w[0] + w[2]), odd = half * w[1];
    u[1] = even + odd;
    u[2] = even - odd;
    u[3] = w[2];
  }
}

template <class T, int P, class V>
inline __attribute__((always_inline)) void weight_taps(const V (&u)[P], V half, V (&w)[taps_of(P)]) {
  using S = Simd<T>;
  namespace L = real_points;
  if constexpr (P == 6) {
    const V even_a = constant<T>(L::of_a) * (u[1] + u[2]), even_b = constant<T>(L::of_b) * (u[3] + u[4]);
    w[0] = S::fma(constant<T>(L::of_zero), u[0], even_a + even_b);
    w[1] = S::fma(constant<T>(L::of_a * L::a), u[1] - u[2], constant<T>(L::of_b * L::b) * (u[3] - u[4]));
    w[2] = S::fma(constant<T>(L::aa), even_a, S::fma(constant<T>(L::bb), even_b, u[5]));
    return;
  }
  w[0] = u[0];
  if constexpr (P == 4) {
    const V sum = half * (u[1] + u[2]);
    w[0] = u[0] + sum;
    w[1] = half * (u[1] - u[2]);
    w[2] = sum + u[3];
  }
}

/// `Planes`: the planes of taps that a slice combines: the first (0), the last (2), or all, as half of (first + last) +
/// sign * middle.
constexpr int all_planes = -1;

template <int Planes, class T, int PW, int PD>
void weights_slice(const WeightTransformArgs<T, const T>& a, T sign_of_middle) {
  using S = Simd<T>;
  using V = typename S::V;
  constexpr int KW = taps_of(PW), KD = taps_of(PD);
  const V half = S::set1(T(0.5)), sign = S::set1(sign_of_middle * T(0.5));
  const std::int64_t tap = a.tap_stride, plane = KW * KD * tap, point = a.point_stride;
  for (std::int64_t r = 0; r < a.rows; ++r)
    for (std::int64_t c = 0; c < a.width; c += S::lanes) {
      const std::int64_t n = a.channels - c;
      const auto load = [n](const T* p) {
        return n >= S::lanes ? S::load(p) : n > 0 ? S::load_first(p, n) : S::zero();
      };
      const T* const w = a.w + r * a.row_stride + c;
      T* const u = a.u + r * a.u_stride + c;
      V rows[KW][PD];
#pragma GCC unroll 3
      for (int j = 0; j < KW; ++j) {
        V x[KD];
#pragma GCC unroll 3
        for (int k = 0; k < KD; ++k) {
          const T* const p = w + (j * KD + k) * tap;
          if constexpr (Planes == 0) x[k] = load(p);
          if constexpr (Planes == 2) x[k] = load(p + 2 * plane);
          if constexpr (Planes == all_planes)
            x[k] = S::fma(sign, load(p + plane), half * (load(p) + load(p + 2 * plane)));
        }
        weight_points<T, PD>(x, half, rows[j]);
      }
#pragma GCC unroll 6
      for (int k = 0; k < PD; ++k) {
        V x[KW], out[PW];
#pragma GCC unroll 3
        for (int j = 0; j < KW; ++j) x[j] = rows[j][k];
        weight_points<T, PW>(x, half, out);
#pragma GCC unroll 4
        for (int j = 0; j < PW; ++j) S::store(u + (j * PD + k) * point, out[j]);
      }
    }
}

template <class T, int PW, int PD>
void winograd_weights(const WeightTransformArgs<T, const T>& a) {
  switch (a.slice) {
    case 1:
      return weights_slice<all_planes, T, PW, PD>(a, T(1));
    case 2:
      return weights_slice<all_planes, T, PW, PD>(a, T(-1));
    case 3:
      return weights_slice<2, T, PW, PD>(a, T(0));
    default:
      return weights_slice<0, T, PW, PD>(a, T(0));
  }
}

/// The plane of taps with index `Plane`, from the four slices m0 to m3: plane 0 is m0 + (m1 + m2) / 2, plane 1 is (m1 -
/// m2) / 2, plane 2 is (m1 + m2) / 2 + m3.
template <int Plane, class T>
inline __attribute__((always_inline)) typename Simd<T>::V tap_plane(const T* u, std::int64_t slice,
                                                                    typename Simd<T>::V half) {
  using S = Simd<T>;
  const typename S::V m1 = S::load(u + slice), m2 = S::load(u + 2 * slice);
  if constexpr (Plane == 0) return S::fma(half, m1 + m2, S::load(u));
  if constexpr (Plane == 1) return half * (m1 - m2);
  return S::fma(half, m1 + m2, S::load(u + 3 * slice));
}

template <class T, int KH, int PW, int PD, int Plane>
inline __attribute__((always_inline)) void taps_of_plane(const WeightTransformArgs<const T, T>& a, std::int64_t r) {
  using S = Simd<T>;
  using V = typename S::V;
  constexpr int KW = taps_of(PW), KD = taps_of(PD);
  const V half = S::set1(T(0.5));
  const std::int64_t tap = a.tap_stride, point = a.point_stride, slice = PW * PD * point;
  each_vector<T>(a.channels, [&](std::int64_t c, auto io) {
    const T* const u = a.u + r * a.u_stride + c;
    T* const w = a.w + r * a.row_stride + c + Plane * KW * KD * tap;
    V rows[PW][KD];
#pragma GCC unroll 4
    for (int j = 0; j < PW; ++j) {
      V x[PD];
#pragma GCC unroll 6
      for (int k = 0; k < PD; ++k) {
        const T* const at = u + (j * PD + k) * point;
        if constexpr (KH == 1)
          x[k] = S::load(at);
        else
          x[k] = tap_plane<Plane>(at, slice, half);
      }
      weight_taps<T, PD>(x, half, rows[j]);
    }
#pragma GCC unroll 3
    for (int k = 0; k < KD; ++k) {
      V x[PW], out[KW];
#pragma GCC unroll 4
      for (int j = 0; j < PW; ++j) x[j] = rows[j][k];
      weight_taps<T, PW>(x, half, out);
#pragma GCC unroll 3
      for (int j = 0; j < KW; ++j) io.store(w + (j * KD + k) * tap, out[j]);
    }
  });
}

/// The points of a row (16 KB at 64 channels) are still in L1 for the second and third plane.
template <class T, int PW, int PD>
void winograd_taps(const WeightTransformArgs<const T, T>& a) {
  for (std::int64_t r = 0; r < a.rows; ++r) {
    if (a.slices == 1) {
      taps_of_plane<T, 1, PW, PD, 0>(a, r);
      continue;
    }
    taps_of_plane<T, 3, PW, PD, 0>(a, r);
    taps_of_plane<T, 3, PW, PD, 1>(a, r);
    taps_of_plane<T, 3, PW, PD, 2>(a, r);
  }
}

// ---- wide tiles -------------------------------------------------------------------------------------------------

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

/// The transform from nine taps to 36 numbers along H and W, for each of three taps along D, and its transpose.
template <class T, class V, class Load>
inline __attribute__((always_inline)) void numbers_of_taps(const Load& load, V (&all)[6][6][3]) {
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
template <class T, class V, class Store>
inline __attribute__((always_inline)) void taps_of_numbers(const V (&all)[6][6][3], const Store& store) {
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

template <class T>
void wide_weights(const WeightTransformArgs<T, const T>& a) {
  using S = Simd<T>;
  typename Simd<T>::V numbers[6][6][3];
  for (std::int64_t r = 0; r < a.rows; ++r)
    for (std::int64_t c = 0; c < a.width; c += S::lanes) {
      const std::int64_t n = a.channels - c;
      const T* const w = a.w + r * a.row_stride + c;
      numbers_of_taps<T>(
          [&](int h, int j, int k) __attribute__((always_inline)) {
            const T* const at = w + ((h * 3 + j) * 3 + k) * a.tap_stride;
            return n >= S::lanes ? S::load(at) : n > 0 ? S::load_first(at, n) : S::zero();
          },
          numbers);
      T* const u = a.u + r * a.u_stride + c;
      each_slice(a.slice, a.slices, [&](auto h, auto j, std::int64_t before) {
        weight_slice<decltype(h)::value, decltype(j)::value>(numbers, u + before * a.point_stride, a.point_stride);
      });
    }
}

template <class T>
void wide_taps(const WeightTransformArgs<const T, T>& a) {
  typename Simd<T>::V numbers[6][6][3];
  for (std::int64_t r = 0; r < a.rows; ++r)
    each_vector<T>(a.channels, [&](std::int64_t c, auto io) {
      const T* const u = a.u + r * a.u_stride + c;
      each_slice(0, 9, [&](auto h, auto j, std::int64_t before) {
        weight_numbers<decltype(h)::value, decltype(j)::value>(u + before * a.point_stride, a.point_stride, numbers);
      });
      T* const w = a.w + r * a.row_stride + c;
      taps_of_numbers<T>(
          numbers, [&](int h, int j, int k, typename Simd<T>::V v)
                       __attribute__((always_inline)) { io.store(w + ((h * 3 + j) * 3 + k) * a.tap_stride, v); });
    });
}

}  // namespace
}  // namespace vg::kernels
