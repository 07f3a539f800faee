// The grad_weight bodies. Included only by kernels_*.cpp, after body_gather.hpp; everything has internal linkage.
//
// As for the gather bodies, the driver hands over lists of positions that share their taps, so every tap pairs all of
// them.
//  * dense: a tile of MR weight rows (contiguous input elements: channels, and taps along D where they merge) x NV
//  vectors
//    of output channels is an outer product summed over the positions of the task, then added to dw once. The positions
//    of a task (some hundred) bound the length of a float sum; tasks are added slab by slab in a fixed order.
//  * few output channels: the same with lanes over the weight rows, so that no lanes idle.
//  * depthwise: a tile of MR taps x one vector of channels.
#pragma once

#include <cstdint>

#include "framework/kernels/body_gather.hpp"
#include "framework/kernels/kernel_table.hpp"

namespace vg::kernels {
namespace {

/// acc[MR][NV] = sum over positions of MR elements at `rows` (+ row_off) times NV vectors at `cols` (+ col_off).
template <class T, int MR, int NV, bool Masked>
inline __attribute__((always_inline)) void outer_product(typename Simd<T>::V (&acc)[MR][NV], const T* rows,
                                                         const std::int64_t* row_off, const T* cols,
                                                         const std::int64_t* col_off, std::int64_t positions,
                                                         std::int64_t last_lanes) {
  using S = Simd<T>;
#pragma GCC unroll 16
  for (int m = 0; m < MR; ++m)
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) acc[m][v] = S::zero();
  for (std::int64_t j = 0; j < positions; ++j) {
    const T* const r = opaque(rows + row_off[j]);
    const T* const c = opaque(cols + col_off[j]);
    typename S::V b[NV];
#pragma GCC unroll 8
    for (int v = 0; v + 1 < NV; ++v) b[v] = S::load(c + v * S::lanes);
    const T* const last = c + (NV - 1) * S::lanes;
    b[NV - 1] = Masked ? S::load_first(last, last_lanes) : S::load(last);
#pragma GCC unroll 16
    for (int m = 0; m < MR; ++m) {
      const typename S::V s = S::set1(r[m]);
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v) acc[m][v] = S::fma(s, b[v], acc[m][v]);
    }
  }
}

template <class T, int MR, int NV, bool Masked>
__attribute__((noinline)) void weight_tile(const WeightArgs<T>& a, std::int64_t x, std::int64_t row, std::int64_t co,
                                           std::int64_t last_lanes) {
  using S = Simd<T>;
  typename S::V acc[MR][NV];
  outer_product<T, MR, NV, Masked>(acc, a.x + x, a.x_off, a.dy + co, a.y_off, a.positions, last_lanes);
#pragma GCC unroll 16
  for (int m = 0; m < MR; ++m) {
    Sum<T>* const d = a.dw + (row + m) * a.dw_stride + co;
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) {
      Sum<T>* const p = d + v * S::lanes;
      if (Masked && v == NV - 1)
        S::store_first(p, S::add(S::load_first(p, last_lanes), acc[m][v]), last_lanes);
      else
        S::store(p, S::add(S::load(p), acc[m][v]));
    }
  }
}

template <class T, int NV>
void weight_block(const WeightArgs<T>& a, std::int64_t co, std::int64_t last_lanes) {
  for (const Tap *t = a.taps, *end = t + a.tap_count; t != end; ++t)
    in_tiles<tile_rows<T>(NV)>(t->k, [&](std::int64_t first, auto rows) {
      constexpr int mr = decltype(rows)::value;
      if (last_lanes == Simd<T>::lanes)
        weight_tile<T, mr, NV, false>(a, t->x + first, t->w + first, co, last_lanes);
      else
        weight_tile<T, mr, NV, true>(a, t->x + first, t->w + first, co, last_lanes);
    });
}

template <class T>
void weight_dense(const WeightArgs<T>& a) {
  constexpr int lanes = Simd<T>::lanes;
  for (std::int64_t co = a.co_begin; co < a.co_end; co += 2 * lanes) {
    const std::int64_t left = a.co_end - co;
    if (left > lanes)
      weight_block<T, 2>(a, co, left < 2 * lanes ? left - lanes : lanes);
    else
      weight_block<T, 1>(a, co, left);
  }
}

/// MR output channels x NV vectors of weight rows.
template <class T, int MR, int NV, bool Masked>
__attribute__((noinline)) void weight_few_tile(const WeightArgs<T>& a, std::int64_t x, std::int64_t row,
                                               std::int64_t co, std::int64_t last_lanes) {
  using S = Simd<T>;
  typename S::V acc[MR][NV];
  outer_product<T, MR, NV, Masked>(acc, a.dy + co, a.y_off, a.x + x, a.x_off, a.positions, last_lanes);
  Sum<T> sums[NV * S::lanes];
#pragma GCC unroll 16
  for (int m = 0; m < MR; ++m) {
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) S::store(sums + v * S::lanes, acc[m][v]);
    Sum<T>* d = a.dw + row * a.dw_stride + co + m;
    for (std::int64_t i = 0; i < (NV - 1) * S::lanes + last_lanes; ++i, d += a.dw_stride) *d += sums[i];
  }
}

template <class T, int MR>
void weight_few_channels(const WeightArgs<T>& a, std::int64_t co) {
  constexpr int lanes = Simd<T>::lanes;
  constexpr int most = Simd<T>::registers == 32 ? (MR == 4 ? 5 : 6) : (MR > 2 ? 2 : 4);
  for (const Tap *t = a.taps, *end = t + a.tap_count; t != end; ++t)
    in_tiles<most>((t->k + lanes - 1) / lanes, [&](std::int64_t first, auto vectors) {
      constexpr int nv = decltype(vectors)::value;
      const std::int64_t begin = first * lanes, left = t->k - begin;
      if (left >= nv * lanes)
        weight_few_tile<T, MR, nv, false>(a, t->x + begin, t->w + begin, co, lanes);
      else
        weight_few_tile<T, MR, nv, true>(a, t->x + begin, t->w + begin, co, left - (nv - 1) * lanes);
    });
}

template <class T>
void weight_few(const WeightArgs<T>& a) {
  std::int64_t co = a.co_begin;
  for (; co + 4 <= a.co_end; co += 4) weight_few_channels<T, 4>(a, co);
  if (co < a.co_end)
    with_constant<3>(a.co_end - co, [&](auto rows) { weight_few_channels<T, decltype(rows)::value>(a, co); });
}

template <class T, int MR, bool Masked>
__attribute__((noinline)) void weight_depthwise_tile(const WeightArgs<T>& a, const Tap* taps, std::int64_t c,
                                                     std::int64_t n) {
  using S = Simd<T>;
  const auto load = [n](const T* p) { return Masked ? S::load_first(p, n) : S::load(p); };
  typename S::V acc[MR];
#pragma GCC unroll 16
  for (int m = 0; m < MR; ++m) acc[m] = S::zero();
  for (std::int64_t j = 0; j < a.positions; ++j) {
    const T* const x = opaque(a.x + a.x_off[j] + c);
    const Tap* const tap = taps;
    const typename S::V b = load(a.dy + a.y_off[j] + c);
#pragma GCC unroll 16
    for (int m = 0; m < MR; ++m) acc[m] = S::fma(load(x + tap[m].x), b, acc[m]);
  }
#pragma GCC unroll 16
  for (int m = 0; m < MR; ++m) {
    T* const d = a.dw + taps[m].w * a.dw_stride + c;
    if constexpr (Masked)
      S::store_first(d, S::add(S::load_first(d, n), acc[m]), n);
    else
      S::store(d, S::add(S::load(d), acc[m]));
  }
}

template <class T>
void weight_depthwise(const WeightArgs<T>& a) {
  constexpr int lanes = Simd<T>::lanes, most = Simd<T>::registers == 32 ? 14 : 9;
  for (std::int64_t c = a.co_begin; c < a.co_end; c += lanes) {
    const std::int64_t n = a.co_end - c;
    in_tiles<most>(a.tap_count, [&](std::int64_t first, auto rows) {
      if (n < lanes)
        weight_depthwise_tile<T, decltype(rows)::value, true>(a, a.taps + first, c, n);
      else
        weight_depthwise_tile<T, decltype(rows)::value, false>(a, a.taps + first, c, lanes);
    });
  }
}

}  // namespace
}  // namespace vg::kernels
