// The weight transform G of F(2, 3) and long tiles (real-inl.hpp), from taps to points, its transpose, and the tables
// of all transforms. Included only by winograd/transforms/kernels.cpp; everything has internal linkage.
//
// Like tiles, weights are transformed slice by slice, one point along H at a time. Up to three planes of taps are
// combined while they are loaded; then D and W are transformed in registers (16 vectors). The transpose combines all
// slices to one plane of taps after the other, so that each tap is written once.
#pragma once

#include <cstdint>

#include "voxgrad/framework/kernels/winograd/transforms/complex_sums-inl.hpp"
#include "voxgrad/framework/kernels/winograd/transforms/complex_weights-inl.hpp"
#include "voxgrad/framework/kernels/winograd/transforms/grouped-inl.hpp"
#include "voxgrad/framework/kernels/winograd/transforms/real-inl.hpp"
#include "voxgrad/framework/kernels/winograd/transforms/strided-inl.hpp"

namespace vg::kernels {
namespace {

/// In f64, F(4, 3) in all dimensions takes 1.2 to 1.5 times the time of F(4, 3) along D (AVX-512).
template <class T>
constexpr bool has_wide_tiles = sizeof(T) == sizeof(float);

constexpr int taps_of(int points) { return points == 1 ? 1 : 3; }

template <class T, int P, class V>
inline __attribute__((always_inline)) void weight_points(const V (&w)[taps_of(P)], V half, V (&u)[P]) {
  using S = Simd<T>;
  using L = RealPoints;
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
  using L = RealPoints;
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

/// f(Int<PW>, Int<PD>) for points along W and D.
template <class F>
inline void with_points(const int (&points)[3], const F& f) {
  const auto d = [&](auto w) { points[2] == 6 ? f(w, Int<6>()) : points[2] == 4 ? f(w, Int<4>()) : f(w, Int<1>()); };
  points[1] == 4 ? d(Int<4>()) : d(Int<1>());
}

/// The planes of taps that a slice combines: the first, the last, or half of (first + last) + sign * middle.
enum class Plane { first, last, both };

template <Plane P, class T, int PW, int PD>
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
          if constexpr (P == Plane::first) x[k] = load(p);
          if constexpr (P == Plane::last) x[k] = load(p + 2 * plane);
          if constexpr (P == Plane::both) x[k] = S::fma(sign, load(p + plane), half * (load(p) + load(p + 2 * plane)));
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

template <class T>
void winograd_weights(const WeightTransformArgs<T, const T>& a) {
  if constexpr (has_wide_tiles<T>)
    if (a.points[0] == 6) return wide_weights(a);
  with_points(a.points, [&](auto w, auto d) {
    constexpr int PW = decltype(w)::value, PD = decltype(d)::value;
    switch (a.slice) {
      case 1:
        return weights_slice<Plane::both, T, PW, PD>(a, T(1));
      case 2:
        return weights_slice<Plane::both, T, PW, PD>(a, T(-1));
      case 3:
        return weights_slice<Plane::last, T, PW, PD>(a, T(0));
      default:
        return weights_slice<Plane::first, T, PW, PD>(a, T(0));
    }
  });
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
template <class T>
void winograd_taps(const WeightTransformArgs<const T, T>& a) {
  if constexpr (has_wide_tiles<T>)
    if (a.points[0] == 6) return wide_taps(a);
  with_points(a.points, [&](auto w, auto d) {
    constexpr int PW = decltype(w)::value, PD = decltype(d)::value;
    for (std::int64_t r = 0; r < a.rows; ++r) {
      if (a.points[0] == 1) {
        taps_of_plane<T, 1, PW, PD, 0>(a, r);
        continue;
      }
      taps_of_plane<T, 3, PW, PD, 0>(a, r);
      taps_of_plane<T, 3, PW, PD, 1>(a, r);
      taps_of_plane<T, 3, PW, PD, 2>(a, r);
    }
  });
}

/// Extremes in several independent chains of comparisons, because each comparison depends on the previous one of its
/// chain.
template <class T>
class Extremes {
  using S = Simd<T>;
  using V = typename S::V;

 public:
  static constexpr int together = 4;
  Extremes() {
    for (int i = 0; i < together; ++i) high_[i] = low_[i] = lost_[i] = S::zero();
  }
  __attribute__((always_inline)) void add(int i, V v) {
    high_[i] = S::most(high_[i], v);
    low_[i] = S::least(low_[i], v);
    lost_[i] = S::fma(S::zero(), v, lost_[i]);  // 0 * v is NaN if v is not finite
  }
  T largest() {
    for (int i = 1; i < together; ++i) {
      high_[0] = S::most(high_[0], high_[i]);
      low_[0] = S::least(low_[0], low_[i]);
      lost_[0] = lost_[0] + lost_[i];
    }
    T most[S::lanes], bad[S::lanes], result = 0;
    S::store(most, S::most(high_[0], S::zero() - low_[0]));
    S::store(bad, lost_[0]);
    for (int i = 0; i < S::lanes; ++i) result = most[i] > result ? most[i] : result;
    for (int i = 0; i < S::lanes; ++i) result += bad[i];
    return result;
  }

 private:
  V high_[together], low_[together], lost_[together];
};

template <class T>
T largest(std::int64_t rows, std::int64_t n, const T* v, std::int64_t stride) {
  constexpr int together = Extremes<T>::together;
  Extremes<T> extremes;
  const auto add_rows = [&](auto count) __attribute__((always_inline)) {
    each_vector<T>(n, [&](std::int64_t c, auto io) {
#pragma GCC unroll 4
      for (int i = 0; i < decltype(count)::value; ++i) extremes.add(i, io.load(v + i * stride + c));
    });
  };
  std::int64_t r = 0;
  for (; r + together <= rows; r += together, v += together * stride) add_rows(Int<together>());
  for (; r < rows; ++r, v += stride) add_rows(Int<1>());
  return extremes.largest();
}

/// Lane c of v[r] becomes lane r of v[c], by exchanging blocks of 1, 2, 4 ... lanes.
template <class T>
inline void transpose(typename Simd<T>::V (&v)[Simd<T>::lanes]) {
  using S = Simd<T>;
  constexpr int lanes = S::lanes;
#pragma GCC unroll 4
  for (int s = 1; s < lanes; s *= 2) {
    alignas(64) std::int32_t low[lanes], high[lanes];
    for (int l = 0; l < lanes; ++l) {
      low[l] = (l & s) == 0 ? l : lanes + l - s;
      high[l] = (l & s) == 0 ? l + s : lanes + l;
    }
    const typename S::Index to_low = S::index(low), to_high = S::index(high);
#pragma GCC unroll 16
    for (int i = 0; i < lanes; ++i)
      if ((i & s) == 0) {
        const typename S::V a = v[i], b = v[i + s];
        v[i] = S::permute(a, b, to_low);
        v[i + s] = S::permute(a, b, to_high);
      }
  }
}

template <class T>
void transpose_block(const T* from, std::int64_t stride, std::int64_t rows, std::int64_t columns, T* to) {
  using S = Simd<T>;
  typename S::V v[S::lanes];
  for (int c = 0; c < S::lanes; ++c)
    v[c] = c >= columns      ? S::zero()
           : rows < S::lanes ? S::load_first(from + c * stride, rows)
                             : S::load(from + c * stride);
  transpose<T>(v);
  for (int r = 0; r < S::lanes; ++r)
    if (r < rows) S::store(to + r * S::lanes, v[r]);
}

/// The transforms of the data passes, which are all that groups need; `Sums` adds those of grad_weight.
template <bool Sums, class T, int PW, int PD>
constexpr TileTransforms<T> make_tiles() {
  TileTransforms<T> t{winograd_input<T, PW, PD>, nullptr, winograd_output<T, PW, PD>};
  if constexpr (Sums) t.gradient = winograd_gradient<T, PW, PD>;
  return t;
}

template <bool Sums, class T>
constexpr WinogradTable<T> make_data_pass_table() {
  WinogradTable<T> t{};
  t.lanes = Simd<T>::lanes;
  t.tiles[0][0] = make_tiles<Sums, T, 1, 1>();
  t.tiles[0][1] = make_tiles<Sums, T, 1, 4>();
  t.tiles[0][2] = make_tiles<Sums, T, 1, 6>();
  t.tiles[1][0] = make_tiles<Sums, T, 4, 1>();
  t.tiles[1][1] = make_tiles<Sums, T, 4, 4>();
  t.tiles[1][2] = make_tiles<Sums, T, 4, 6>();
  if constexpr (has_wide_tiles<T>) t.wide = {wide_points<T, 6>, nullptr, wide_output<T>};
  t.weights = winograd_weights<T>;
  t.transpose = transpose_block<T>;
  t.largest = largest<T>;
  t.groups = winograd_groups<T>;
  if constexpr (has_wide_tiles<T> && folds<T>) t.fold = winograd_fold<T>;
  t.stream = stream_lines<T>;
  t.stream_end = stream_end;
  return t;
}

template <class T>
constexpr WinogradTable<T> make_winograd_table() {
  WinogradTable<T> t = make_data_pass_table<true, T>();
  if constexpr (has_wide_tiles<T>) t.wide.gradient = wide_points<T, 4>;
  t.taps = winograd_taps<T>;
  if constexpr (has_wide_tiles<T> && folds<T>) t.fold_sums = winograd_fold_sums<T>;
  t.strided = {strided_points<StridedInput, T>,
               strided_points<StridedGradient, T>,
               strided_points<DilatedInput, T>,
               strided_output<StridedOutput, T>,
               strided_output<DilatedOutput, T>,
               strided_weights<T>,
               strided_taps<T>};
  return t;
}

}  // namespace
}  // namespace vg::kernels
