// The igemm kernels: forward and grad_input of every convolution. Included after one header of simd/ by files that are
// compiled per instruction set. Everything has internal linkage.
//
// The driver passes lists of outputs that share their taps (indirection.hpp), so the kernels see no edges: padding,
// stride, both dilations and rows that are too short for a tile are all expressed as offsets.
//  * dense: a register tile of MR outputs x NV vectors of output channels accumulates over all taps and input channels.
//    Each step broadcasts one input element per output and multiplies it with NV vectors of packed weights. The weights
//    of a block of NV vectors are one stream in the order of the taps. The loop over blocks is the outermost one, so a
//    block's weights and the inputs of the task stay in L2.
//  * few output channels: a tile is MR outputs x up to 4 channels; lanes run over the reduction, summed at the end.
//  * depthwise: lanes run over channels, with MR outputs in flight.
#pragma once

#include <cstdint>

#include "voxgrad/framework/kernels/common/kernel_table.hpp"
#include "voxgrad/framework/kernels/simd/constant.hpp"

namespace vg::kernels {
namespace {

/// Calls f(Int<n>()), for 1 <= n <= Max.
template <int Max, class F>
inline void with_constant(std::int64_t n, const F& f) {
  if constexpr (Max == 1) {
    f(Int<1>());
  } else {
    if (n == Max)
      f(Int<Max>());
    else
      with_constant<Max - 1>(n, f);
  }
}

/// Cuts n into the fewest pieces of at most Max, as equal as possible, and calls f(begin, Int<size>()) for each.
template <int Max, class F>
inline void in_tiles(std::int64_t n, const F& f) {
  const std::int64_t tiles = (n + Max - 1) / Max;
  std::int64_t begin = 0;
  for (std::int64_t t = 0; t < tiles; ++t) {
    const std::int64_t size = (n - begin) / (tiles - t);
    with_constant<Max>(size, [&](auto rows) { f(begin, rows); });
    begin += size;
  }
}

/// Calls f(Int<n>()), where n is below Step or a multiple of it up to Max.
template <int Max, int Step, class F>
inline void with_step(std::int64_t n, const F& f) {
  if constexpr (Max < Step) {
    with_constant<Step - 1>(n, f);
  } else {
    if (n == Max)
      f(Int<Max>());
    else
      with_step<Max - Step, Step>(n, f);
  }
}

/// As in_tiles, with pieces that are multiples of Step and a rest below it, so that fewer kernels are compiled.
template <int Max, int Step, class F>
inline void in_steps(std::int64_t n, const F& f) {
  constexpr int most = Max / Step * Step;
  for (std::int64_t begin = 0; begin < n;) {
    const std::int64_t left = n - begin, tiles = (left + most - 1) / most, fair = (left + tiles - 1) / tiles;
    const std::int64_t size = left < Step ? left : (fair + Step - 1) / Step * Step;
    const std::int64_t fits = size <= left ? size : left / Step * Step;
    with_step<most, Step>(fits, [&](auto rows) { f(begin, rows); });
    begin += fits;
  }
}

/// The rows of a tile. They leave registers for one row of operands and a broadcast.
template <class T>
constexpr int tile_rows(int vectors) {
  if (Simd<T>::registers == 32) return vectors == 1 ? 16 : 12;
  return vectors == 1 ? 8 : 6;
}

/// The rows of weights that a step of the dense tile holds in registers.
template <class T>
constexpr int tile_unroll(int vectors) {
  return vectors == 1 ? 4 : Simd<T>::registers == 32 ? 2 : 1;
}

/// Hides the origin of a pointer. Otherwise the compiler would compute the addresses of all operands of a tile in
/// advance, more than the general registers hold, and spill them. Where they are used, their computation is free.
template <class P>
inline P* hide_from_optimizer(P* p) {
  __asm__("" : "+r"(p));
  return p;
}

/// acc += `Rows` input elements of each output times as many rows of weights.
template <class T, int MR, int NV, int Rows>
inline __attribute__((always_inline)) void dense_step(typename Simd<T>::V (&acc)[MR][NV], const T* x,
                                                      const std::int64_t* x_indirection, const T* w) {
  using S = Simd<T>;
  typename S::V b[Rows][NV];
#pragma GCC unroll 4
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) b[r][v] = S::load(w + (r * NV + v) * S::lanes);
  // with 16 vector registers, tiles are so small that their addresses fit the general registers
  const std::int64_t* const off = S::registers == 32 ? hide_from_optimizer(x_indirection) : x_indirection;
#pragma GCC unroll 16
  for (int m = 0; m < MR; ++m) {
    const T* const xm = x + off[m];
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r) {
      const typename S::V s = S::set1(xm[r]);
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) acc[m][v] = S::fma(s, b[r][v], acc[m][v]);
    }
  }
}

/// Prefetches the inputs of a tile's next run, a piece in each step of the current one. This pays if outputs share few
/// inputs and these follow each other (1x1x1, strides up to the kernel): the CPU does not predict a tile's lines, which
/// are read a column at a time. After the last run comes the first one of the next tile.
template <class T, int MR>
struct NextRun {
  const T *x, *after;  // of this tile and the next
  const char* at = nullptr;
  NextRun(const IgemmArgs<T>& a, std::int64_t first)
      : x(a.x + a.x_indirection[first]),
        after(x + MR * (a.x_indirection[first + 1] - a.x_indirection[first]) + a.taps->x) {}
  static bool pays(const IgemmArgs<T>& a, std::int64_t first, std::int64_t co) {
    if (!a.prefetch_x || co != a.co_begin || a.tap_count == 0) return false;
    const std::int64_t step = a.x_indirection[first + 1] - a.x_indirection[first];
    return step <= a.taps->k && 2 * step >= a.taps->k;
  }
  inline __attribute__((always_inline)) void begin(const TapRun* tap, const TapRun* end) {
    at = reinterpret_cast<const char*>(tap + 1 == end ? after : x + tap[1].x);
  }
  inline __attribute__((always_inline)) void ask(int unroll) {
#pragma GCC unroll 4
    for (int line = 0; line < (MR + 7) / 8; ++line) __builtin_prefetch(at + 64 * line);
    at += MR * unroll * static_cast<std::int64_t>(sizeof(T));
  }
};
struct NoNextRun {
  static void begin(const TapRun*, const TapRun*) {}
  static void ask(int) {}
};

/// acc += the products of all taps.
template <class T, int MR, int NV, class Next>
inline __attribute__((always_inline)) void dense_taps(typename Simd<T>::V (&acc)[MR][NV], const IgemmArgs<T>& a,
                                                      const T* inputs, const T* w, const std::int64_t* x_indirection,
                                                      Next next) {
  constexpr int unroll = tile_unroll<T>(NV), lanes = Simd<T>::lanes;
  for (const TapRun *t = a.taps, *end = t + a.tap_count; t != end; ++t) {
    next.begin(t, end);
    const T* x = inputs + t->x;
    const T* wt = w + t->w * (NV * lanes);
    std::int64_t left = t->k;
    for (; left >= unroll; left -= unroll, x += unroll, wt += unroll * NV * lanes) {
      next.ask(unroll);
      dense_step<T, MR, NV, unroll>(acc, x, x_indirection, wt);
    }
    for (; left > 0; --left, ++x, wt += NV * lanes) dense_step<T, MR, NV, 1>(acc, x, x_indirection, wt);
  }
}

/// Stores the sums of a tile in y.
template <class T, int MR, int NV>
inline __attribute__((always_inline)) void store_dense(const typename Simd<T>::V (&acc)[MR][NV], Sum<T>* y,
                                                       const std::int64_t* y_indirection, std::int64_t last_lanes,
                                                       bool stream) {
  using S = Simd<T>;
  if (can_stream && stream) {
#pragma GCC unroll 16
    for (int m = 0; m < MR; ++m)
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) S::stream(y + y_indirection[m] + v * S::lanes, acc[m][v]);
    return;
  }
  if (last_lanes == S::lanes) {
#pragma GCC unroll 16
    for (int m = 0; m < MR; ++m)
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) S::store(y + y_indirection[m] + v * S::lanes, acc[m][v]);
    return;
  }
#pragma GCC unroll 16
  for (int m = 0; m < MR; ++m) {
    Sum<T>* const to = y + y_indirection[m];
#pragma GCC unroll 4
    for (int v = 0; v + 1 < NV; ++v) S::store(to + v * S::lanes, acc[m][v]);
    S::store_first(to + (NV - 1) * S::lanes, acc[m][NV - 1], last_lanes);
  }
}

template <class T, int MR, int NV>
__attribute__((noinline)) void dense_tile(const IgemmArgs<T>& a, const T* w, std::int64_t first, std::int64_t co,
                                          std::int64_t last_lanes) {
  using S = Simd<T>;
  const std::int64_t* const x_indirection = a.x_indirection + first;
  const std::int64_t* const y_indirection = a.y_indirection + first;
  const T* x = a.x;
  Sum<T>* y = a.y + co;
  bool asks = false;
  if constexpr (NV == 2 && MR + 2 >= tile_rows<T>(NV))  // smaller tiles are rare
    asks = NextRun<T, MR>::pays(a, first, co);
  for (std::int64_t i = 0; i < a.batch.count; ++i, x += a.batch.x, w += a.batch.w, y += a.batch.y) {
    typename S::V acc[MR][NV];
#pragma GCC unroll 16
    for (int m = 0; m < MR; ++m)
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) acc[m][v] = S::zero();
    if constexpr (NV == 2 && MR + 2 >= tile_rows<T>(NV))
      if (asks) dense_taps<T, MR, NV>(acc, a, x, w, x_indirection, NextRun<T, MR>(a, first));
    if (!asks) dense_taps<T, MR, NV>(acc, a, x, w, x_indirection, NoNextRun());
    store_dense<T, MR, NV>(acc, y, y_indirection, last_lanes, a.stream);
  }
}

template <class T, int NV>
void dense_block(const IgemmArgs<T>& a, std::int64_t co, std::int64_t last_lanes) {
  const T* const w = a.w + a.w_rows * co;
  in_tiles<tile_rows<T>(NV)>(a.positions, [&](std::int64_t first, auto rows) {
    dense_tile<T, decltype(rows)::value, NV>(a, w, first, co, last_lanes);
  });
}

template <class T>
void igemm(const IgemmArgs<T>& a) {
  constexpr int lanes = Simd<T>::lanes;
  for (std::int64_t co = a.co_begin; co < a.co_end; co += 2 * lanes) {
    const std::int64_t left = a.co_end - co;
    if (left > lanes)
      dense_block<T, 2>(a, co, left < 2 * lanes ? left - lanes : lanes);
    else
      dense_block<T, 1>(a, co, left);
  }
  if (can_stream && a.stream) stream_end();
}

template <class T, int MR, int NC, bool Masked>
inline __attribute__((always_inline)) void few_step(typename Simd<T>::V (&acc)[(MR * NC + 3) / 4 * 4], const T* x,
                                                    const std::int64_t* x_indirection, const T* w, std::int64_t w_rows,
                                                    std::int64_t n) {
  using S = Simd<T>;
  typename S::V b[NC];
#pragma GCC unroll 4
  for (int c = 0; c < NC; ++c) b[c] = Masked ? S::load_first(w + c * w_rows, n) : S::load(w + c * w_rows);
  const std::int64_t* const off = hide_from_optimizer(x_indirection);
#pragma GCC unroll 16
  for (int m = 0; m < MR; ++m) {
    const T* const xm = x + off[m];
    const typename S::V s = Masked ? S::load_first(xm, n) : S::load(xm);
#pragma GCC unroll 4
    for (int c = 0; c < NC; ++c) acc[m * NC + c] = S::fma(s, b[c], acc[m * NC + c]);
  }
}

/// Prefetches the inputs of outputs some tiles ahead if each input is read once: 1x1x1 is bound by memory otherwise (32
/// -> 4 channels, 64^3: 2.6 -> 1.6 ms). If the offsets do not continue evenly, the prefetched lines are not used.
template <class T, int MR>
inline __attribute__((always_inline)) void prefetch_inputs(const IgemmArgs<T>& a, std::int64_t first) {
  if (MR == 1 || a.tap_count != 1) return;
  const std::int64_t* const off = a.x_indirection + first;
  const T* const x = a.x + a.taps->x + 24 * (off[1] - off[0]);
  for (int m = 0; m < MR; ++m)
    for (std::int64_t i = 0; i < a.taps->k; i += 64 / static_cast<std::int64_t>(sizeof(T)))
      __builtin_prefetch(x + off[m] + i);
}

template <class T, int MR, int NC>
__attribute__((noinline)) void few_tile(const IgemmArgs<T>& a, std::int64_t first, std::int64_t co) {
  using S = Simd<T>;
  const std::int64_t* const x_indirection = a.x_indirection + first;
  const T* const w = a.w + co * a.w_rows;
  constexpr int sums_count = (MR * NC + 3) / 4 * 4;
  prefetch_inputs<T, MR>(a, first);
  typename S::V acc[sums_count];
#pragma GCC unroll 24
  for (int i = 0; i < sums_count; ++i) acc[i] = S::zero();

  for (const TapRun *t = a.taps, *end = t + a.tap_count; t != end; ++t) {
    const T* x = a.x + t->x;
    const T* wt = w + t->w;
    std::int64_t left = t->k;
    for (; left >= S::lanes; left -= S::lanes, x += S::lanes, wt += S::lanes)
      few_step<T, MR, NC, false>(acc, x, x_indirection, wt, a.w_rows, S::lanes);
    if (left > 0) few_step<T, MR, NC, true>(acc, x, x_indirection, wt, a.w_rows, left);
  }

  if constexpr (NC == 4) {
#pragma GCC unroll 16
    for (int m = 0; m < MR; ++m) S::sum4(acc + 4 * m, a.y + a.y_indirection[first + m] + co);
    return;
  }
  Sum<T> sums[sums_count];
#pragma GCC unroll 6
  for (int i = 0; i < sums_count; i += 4) S::sum4(acc + i, sums + i);
#pragma GCC unroll 16
  for (int m = 0; m < MR; ++m) {
    Sum<T>* const y = a.y + a.y_indirection[first + m] + co;
#pragma GCC unroll 4
    for (int c = 0; c < NC; ++c) y[c] = sums[m * NC + c];
  }
}

template <class T>
void igemm_narrow(const IgemmArgs<T>& a) {
  constexpr bool wide = Simd<T>::registers == 32;
  std::int64_t co = a.co_begin;
  for (; co + 4 <= a.co_end; co += 4)
    in_tiles<wide ? 6 : 2>(a.positions,
                           [&](std::int64_t first, auto rows) { few_tile<T, decltype(rows)::value, 4>(a, first, co); });
  if (co == a.co_end) return;
  with_constant<3>(a.co_end - co, [&](auto channels) {
    constexpr int nc = decltype(channels)::value;
    constexpr int most = wide ? (nc == 1 ? 12 : nc == 2 ? 10 : 7) : (nc == 1 ? 7 : nc == 2 ? 5 : 3);
    in_tiles<most>(a.positions,
                   [&](std::int64_t first, auto rows) { few_tile<T, decltype(rows)::value, nc>(a, first, co); });
  });
}

/// One tile: MR outputs x one vector of channels, of which `n` lanes are used (all of them if not Masked).
template <class T, int MR, bool Masked>
__attribute__((noinline)) void depthwise_tile(const IgemmArgs<T>& a, std::int64_t first, std::int64_t c,
                                              std::int64_t n) {
  using S = Simd<T>;
  const std::int64_t* const x_indirection = a.x_indirection + first;
  const auto load = [n](const T* p) { return Masked ? S::load_first(p, n) : S::load(p); };
  typename S::V acc[MR];
#pragma GCC unroll 16
  for (int m = 0; m < MR; ++m) acc[m] = S::zero();
  for (const TapRun *t = a.taps, *end = t + a.tap_count; t != end; ++t) {
    const T* const x = a.x + t->x + c;
    const typename S::V b = load(a.w + t->w * a.w_stride + c);
    const std::int64_t* const off = hide_from_optimizer(x_indirection);
#pragma GCC unroll 16
    for (int m = 0; m < MR; ++m) acc[m] = S::fma(load(x + off[m]), b, acc[m]);
  }
#pragma GCC unroll 16
  for (int m = 0; m < MR; ++m) {
    T* const y = a.y + a.y_indirection[first + m] + c;
    if constexpr (Masked)
      S::store_first(y, acc[m], n);
    else
      S::store(y, acc[m]);
  }
}

template <class T>
void igemm_depthwise(const IgemmArgs<T>& a) {
  constexpr int lanes = Simd<T>::lanes, most = Simd<T>::registers == 32 ? 12 : 8;
  in_tiles<most>(a.positions, [&](std::int64_t first, auto rows) {
    constexpr int mr = decltype(rows)::value;
    for (std::int64_t c = a.co_begin; c < a.co_end; c += lanes) {
      const std::int64_t n = a.co_end - c;
      if (n < lanes)
        depthwise_tile<T, mr, true>(a, first, c, n);
      else
        depthwise_tile<T, mr, false>(a, first, c, lanes);
    }
  });
}

}  // namespace
}  // namespace vg::kernels
