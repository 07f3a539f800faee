// The depthwise kernels: depthwise, small groups and one group of few input channels, at stride 1. Included only by
// kernels.cpp, after one header of simd/. Everything has internal linkage.
//
// Lanes run over output channels. The driver has copied ("filled") the input channels of the lanes into contiguous,
// zero-padded rows. So there are no edges here, masks only at the stores, and no cache-set conflicts of large strides.
// The copy costs a load and a store per voxel, which takes 9 to 343 FMAs. For small groups, an input vector is permuted
// when it is loaded, once per KD FMAs; with one group, a number is broadcast.
//  * row: MR outputs along D are in flight. For each row of KD taps, KD weight vectors are in registers, and each of
//    MR + KD - 1 input vectors is loaded once and used for up to KD taps, e.g. 21 loads for 48 FMAs (k3).
//  * weights: the sums of R rows of KD taps are R * KD registers. For each tile of B outputs, B vectors of dy are in
//    registers, and each of R * (B + KD - 1) input vectors is loaded once, e.g. 38 loads for 72 FMAs (k3). The driver
//    bounds the outputs per call, and so the length of a float sum.
#pragma once

#include <cstdint>

#include "voxgrad/framework/kernels/depthwise/table.hpp"
#include "voxgrad/framework/kernels/direct/dense-inl.hpp"

namespace vg::kernels {
namespace {

/// Loads the first n lanes of a vector; n may be below 0 or above `lanes`.
template <class T>
inline typename Simd<T>::V load_span(const T* p, std::int64_t n) {
  using S = Simd<T>;
  return n <= 0 ? S::zero() : n < S::lanes ? S::load_first(p, n) : S::load(p);
}

/// The vectors of a cache line if there are non-temporal stores, else 0.
template <class T>
constexpr int line_vectors = can_stream ? 64 / int{sizeof(typename Simd<T>::V)} : 0;

template <class T>
inline void store_channels(T* p, typename Simd<T>::V a, std::int64_t channels) {
  if (channels == Simd<T>::lanes)
    Simd<T>::store(p, a);
  else
    Simd<T>::store_first(p, a, channels);
}

/// Loads inputs as vectors; see DepthwiseInput.
template <class T, DepthwiseInput In>
struct DepthwiseLoad {
  using S = Simd<T>;
  typename S::Index index;
  std::int64_t step;

  inline __attribute__((always_inline)) DepthwiseLoad(const std::int32_t* lane, std::int64_t x_step) : step(x_step) {
    if constexpr (In == DepthwiseInput::permuted) index = S::index(lane);
  }
  /// Loads the input at x and advances x to the next one.
  inline __attribute__((always_inline)) typename S::V next(const T*& x) const {
    const T* const at = x;
    if constexpr (In == DepthwiseInput::broadcast) {
      x += step;
      return S::keep_in_register(S::set1(*at));
    } else {
      x += S::lanes;
      if constexpr (In == DepthwiseInput::permuted) return S::keep_in_register(S::permute(S::load(at), index));
      return S::keep_in_register(S::load(at));
    }
  }
};

template <class T, DepthwiseInput In, int MR, int NV, int KD>
__attribute__((noinline)) void depthwise_row_tile(const DepthwiseRow<T>& a, std::int64_t first) {
  using S = Simd<T>;
  typename S::V acc[MR][NV];
#pragma GCC unroll 16
  for (int m = 0; m < MR; ++m)
#pragma GCC unroll 2
    for (int v = 0; v < NV; ++v) acc[m][v] = S::zero();
  const std::int64_t offset = a.x_offset + a.row_begin * a.x_row + first * a.x_step;
  for (const DepthwiseTaps<T>*t = a.planes, *end = t + a.plane_count; t != end; ++t) {
    const DepthwiseLoad<T, In> input(t->lane, a.x_step);
    const T* xs = t->x + offset;
    const T* ws = t->w + a.row_begin * KD * S::lanes;
    for (std::int64_t row = a.row_begin; row != a.row_end; ++row, xs += a.x_row, ws += KD * S::lanes) {
      const T* x = hide_from_optimizer(xs);
      typename S::V w[KD][NV];
#pragma GCC unroll 8
      for (int k = 0; k < KD; ++k)
#pragma GCC unroll 2
        for (int v = 0; v < NV; ++v) w[k][v] = S::keep_in_register(S::load(ws + k * S::lanes + v * a.w_next));
#pragma GCC unroll 24
      for (int i = 0; i < MR + KD - 1; ++i) {
        const typename S::V in = input.next(x);
#pragma GCC unroll 8
        for (int k = 0; k < KD; ++k)
          if (0 <= i - k && i - k < MR)
#pragma GCC unroll 2
            for (int v = 0; v < NV; ++v) acc[i - k][v] = S::fma(in, w[k][v], acc[i - k][v]);
      }
    }
  }
  T* y = a.y + first * a.y_stride;
  if (NV == line_vectors<T> && a.stream) {
#pragma GCC unroll 16
    for (int m = 0; m < MR; ++m, y += a.y_stride)
#pragma GCC unroll 2
      for (int v = 0; v < NV; ++v) S::stream(y + v * S::lanes, acc[m][v]);
    return;
  }
#pragma GCC unroll 16
  for (int m = 0; m < MR; ++m, y += a.y_stride) store_channels(y, acc[m][0], a.channels);
}

/// Calls f(Int<kd>()) for the numbers of taps along D that a row may have (depthwise.cpp). Each needs its own kernels.
template <class F>
inline void with_taps_along(std::int64_t kd, const F& f) {
  switch (kd) {
    case 1:
      return f(Int<1>());
    case 2:
      return f(Int<2>());
    case 3:
      return f(Int<3>());
    case 5:
      return f(Int<5>());
    default:
      return f(Int<7>());
  }
}

/// The outputs in flight: as many as the registers hold beside KD weights, an input and its permutation.
template <class T>
constexpr int depthwise_outputs(DepthwiseInput in, int kd) {
  const int left = Simd<T>::registers - kd - (in == DepthwiseInput::permuted ? 3 : 2);
  const int most = in == DepthwiseInput::vectors ? 16 : 12;
  return left < most ? left : most;
}

/// The same for two vectors of channels; 0 if these are too few to keep the FMA units busy.
template <class T>
constexpr int depthwise_pairs(int kd) {
  const int left = (Simd<T>::registers - 2 * kd - 1) / 2;
  return line_vectors<T> == 2 && left >= 4 ? 4 : 0;
}

template <class T>
std::int64_t stream_vectors(DepthwiseInput in, std::int64_t kd) {
  if (line_vectors<T> == 2)
    return in == DepthwiseInput::broadcast && depthwise_pairs<T>(static_cast<int>(kd)) > 0 ? 2 : 0;
  return line_vectors<T>;
}

template <class T, DepthwiseInput In>
void depthwise_rows(const DepthwiseRow<T>& a) {
  with_taps_along(a.kd, [&](auto taps) {
    constexpr int kd = decltype(taps)::value;
    if constexpr (In == DepthwiseInput::broadcast && depthwise_pairs<T>(kd) > 0)
      if (a.stream)
        return in_steps<depthwise_pairs<T>(kd), 2>(a.depth, [&](std::int64_t first, auto outputs) {
          depthwise_row_tile<T, In, decltype(outputs)::value, 2, kd>(a, first);
        });
    in_steps<depthwise_outputs<T>(In, kd), 2>(a.depth, [&](std::int64_t first, auto outputs) {
      depthwise_row_tile<T, In, decltype(outputs)::value, 1, kd>(a, first);
    });
  });
}

template <class T>
void depthwise_row(const DepthwiseRow<T>& a) {
  if (a.input == DepthwiseInput::vectors) return depthwise_rows<T, DepthwiseInput::vectors>(a);
  if constexpr (has_permuted_inputs<T>)
    if (a.input == DepthwiseInput::permuted) return depthwise_rows<T, DepthwiseInput::permuted>(a);
  depthwise_rows<T, DepthwiseInput::broadcast>(a);
}

/// Adds `tiles` tiles of B outputs per row, from output `first` on, to the rows of taps [row, row + R) of dw.
template <class T, DepthwiseInput In, int B, int R, int KD>
__attribute__((noinline)) void depthwise_weight_tiles(const DepthwiseWeights<T>& a, std::int64_t row,
                                                      std::int64_t first, std::int64_t tiles) {
  using S = Simd<T>;
  const DepthwiseLoad<T, In> input(a.lane, a.x_step);
  typename S::V acc[R][KD];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int k = 0; k < KD; ++k) acc[r][k] = S::zero();
  for (std::int64_t w = 0; w < a.rows; ++w) {
    const T* x = a.x + (w + row) * a.x_row + first * a.x_step;
    const T* dy = a.dy + (w * a.depth + first) * S::lanes;
    for (std::int64_t t = 0; t < tiles; ++t, x += B * a.x_step, dy += B * S::lanes) {
      typename S::V g[B];
#pragma GCC unroll 8
      for (int b = 0; b < B; ++b) g[b] = S::keep_in_register(S::load(dy + b * S::lanes));
      const T* xr[R];
      xr[0] = hide_from_optimizer(x);
#pragma GCC unroll 8
      for (int r = 1; r < R; ++r) xr[r] = hide_from_optimizer(xr[r - 1] + a.x_row);
#pragma GCC unroll 16
      for (int i = 0; i < B + KD - 1; ++i)
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
          const typename S::V v = input.next(xr[r]);
#pragma GCC unroll 8
          for (int k = 0; k < KD; ++k)
            if (0 <= i - k && i - k < B) acc[r][k] = S::fma(v, g[i - k], acc[r][k]);
        }
    }
  }
  T* dw = a.dw + row * KD * S::lanes;
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int k = 0; k < KD; ++k, dw += S::lanes) S::store(dw, S::add(S::load(dw), acc[r][k]));
}

/// The rows of taps whose sums are in registers at the same time.
template <class T>
constexpr int depthwise_tap_rows(int kd) {
  if (Simd<T>::registers == 32) return 3;
  return kd <= 3 ? 3 : kd <= 5 ? 2 : 1;
}

template <class T, DepthwiseInput In, int B>
void depthwise_weight_rows(const DepthwiseWeights<T>& a, std::int64_t first, std::int64_t tiles) {
  with_taps_along(a.kd, [&](auto taps) {
    constexpr int kd = decltype(taps)::value;
    in_tiles<depthwise_tap_rows<T>(kd)>(a.kw, [&](std::int64_t row, auto rows) {
      depthwise_weight_tiles<T, In, B, decltype(rows)::value, kd>(a, row, first, tiles);
    });
  });
}

template <class T, DepthwiseInput In>
void depthwise_weight_depth(const DepthwiseWeights<T>& a) {
  std::int64_t first = 0;
  if constexpr (Simd<T>::registers == 32) {
    if (const std::int64_t tiles = a.depth / 8; tiles > 0) depthwise_weight_rows<T, In, 8>(a, 0, tiles);
    first = a.depth / 8 * 8;
  }
  if (const std::int64_t tiles = (a.depth - first) / 4; tiles > 0) depthwise_weight_rows<T, In, 4>(a, first, tiles);
  first = a.depth / 4 * 4;
  if (a.depth - first >= 2) depthwise_weight_rows<T, In, 2>(a, first, 1);
  if (a.depth % 2 == 1) depthwise_weight_rows<T, In, 1>(a, a.depth - 1, 1);
}

template <class T>
void depthwise_weights(const DepthwiseWeights<T>& a) {
  if constexpr (has_permuted_inputs<T>)
    if (a.input == DepthwiseInput::permuted) return depthwise_weight_depth<T, DepthwiseInput::permuted>(a);
  depthwise_weight_depth<T, DepthwiseInput::vectors>(a);
}

template <class T>
inline bool is_identity(const DepthwiseFill<T>& a) {
  for (std::int64_t l = 0; l < a.channels; ++l)
    if (a.lane[l] != l) return false;
  return true;
}

/// Fills if the lanes come from more than two vectors.
template <class T>
void depthwise_fill_wide_span(const DepthwiseFill<T>& a) {
  const T* x = a.x;
  T* to = a.to;
  for (std::int64_t i = 0; i < a.count; ++i, x += a.stride, to += Simd<T>::lanes)
    for (int l = 0; l < Simd<T>::lanes; ++l) to[l] = x[a.lane[l]];
}

template <class T>
void depthwise_fill(const DepthwiseFill<T>& a) {
  using S = Simd<T>;
  if (a.span > 2 * S::lanes) return depthwise_fill_wide_span(a);
  const auto each = [&](const auto& vector) {
    const T* x = a.x;
    T* to = a.to;
    for (std::int64_t i = 0; i < a.count; ++i, x += a.stride, to += S::lanes) S::store(to, vector(x));
  };
  const std::int64_t n = a.span, channels = a.channels;
  if (n == 1) return each([](const T* x) { return S::set1(*x); });
  if (is_identity(a)) {
    if (channels == S::lanes) return each([](const T* x) { return S::load(x); });
    return each([channels](const T* x) { return S::load_first(x, channels); });
  }
  const typename S::Index index = S::index(a.lane);
  if (n <= S::lanes) return each([=](const T* x) { return S::permute(load_span(x, n), index); });
  each([=](const T* x) { return S::permute(S::load(x), load_span(x + S::lanes, n - S::lanes), index); });
}

template <class T>
constexpr DepthwiseTable<T> make_depthwise_table() {
  return {Simd<T>::lanes, stream_vectors<T>, depthwise_row<T>, depthwise_weights<T>, depthwise_fill<T>, stream_end};
}

constexpr DepthwiseTables depthwise_tables = {make_depthwise_table<float>(), make_depthwise_table<double>()};

}  // namespace
}  // namespace vg::kernels
