// The grad_weight kernels. Included after dense-inl.hpp by files that are compiled per instruction set. Everything has
// internal linkage.
//
// As for the igemm kernels, the driver passes lists of positions that share their taps: every tap uses all positions.
//  * dense: a tile of MR weight rows (contiguous input elements: channels, and taps along D where they merge) x NV
//    vectors of output channels is an outer product, summed over the positions of the task and then added to dw once.
//    The positions of a task (some hundred) bound the length of a float sum; partial sums add their tasks in a fixed
//    order. Short runs share tiles, in which each row has its own offset. Up to half a vector of channels uses half
//    vectors.
//  * few output channels: the same with lanes over the weight rows, so that no lanes are idle.
//  * depthwise: a tile of MR taps x one vector of channels.
#pragma once

#include <cstdint>

#include "voxgrad/framework/kernels/common/kernel_table.hpp"
#include "voxgrad/framework/kernels/direct/dense-inl.hpp"

namespace vg::kernels {
namespace {

/// Prefetches one line of dy (NextPiece), or one of x and one of dy (NextPieces), of a later position at each position.
template <class T>
struct NextPiece {
  const T* dy;  ///< the line, at offset 0
  const std::int64_t* off;
  inline __attribute__((always_inline)) void ask(std::int64_t j) const { __builtin_prefetch(dy + off[j], 0, 2); }
};
template <class T>
struct NextPieces {
  NextPiece<T> x, dy;
  inline __attribute__((always_inline)) void ask(std::int64_t j) const {
    x.ask(j);
    dy.ask(j);
  }
};
/// Prefetches all lines of NV vectors.
template <class T, int NV>
struct NextLines {
  const T* x;
  const std::int64_t* off;
  inline __attribute__((always_inline)) void ask(std::int64_t j) const {
    constexpr int line = 64 / sizeof(T), lanes = Simd<T>::lanes;
#pragma GCC unroll 6
    for (int i = 0; i < NV * lanes; i += line) __builtin_prefetch(x + off[j] + i, 0, 2);
  }
};
struct NoNextPiece {
  static void ask(std::int64_t) {}
};

/// acc[MR][NV] = the sum over positions of MR elements at `rows` (+ row_off) times NV vectors at `cols` (+ col_off).
/// Element m of the rows is at offset m, or at offset at[m] if they are Scattered.
template <class T, int MR, int NV, bool Masked, bool Scattered = false, class Next = NoNextPiece>
inline __attribute__((always_inline)) void outer_product(typename Simd<T>::V (&acc)[MR][NV], const T* rows,
                                                         const std::int64_t* row_off, const T* cols,
                                                         const std::int64_t* col_off, std::int64_t positions,
                                                         std::int64_t last_lanes, const std::int64_t* at = nullptr,
                                                         const Next& next = {}) {
  using S = Simd<T>;
#pragma GCC unroll 16
  for (int m = 0; m < MR; ++m)
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) acc[m][v] = S::zero();
  for (std::int64_t j = 0; j < positions; ++j) {
    const T* const r = hide_from_optimizer(rows + row_off[j]);
    const T* const c = hide_from_optimizer(cols + col_off[j]);
    const std::int64_t* const offsets = Scattered ? hide_from_optimizer(at) : nullptr;
    next.ask(j);
    typename S::V b[NV];
#pragma GCC unroll 8
    for (int v = 0; v + 1 < NV; ++v) b[v] = S::load(c + v * S::lanes);
    const T* const last = c + (NV - 1) * S::lanes;
    b[NV - 1] = Masked ? S::load_first(last, last_lanes) : S::load(last);
#pragma GCC unroll 16
    for (int m = 0; m < MR; ++m) {
      const typename S::V s = S::set1(Scattered ? r[offsets[m]] : r[m]);
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v) acc[m][v] = S::fma(s, b[v], acc[m][v]);
    }
  }
}

/// Row m of dw, at row_at(m), += acc[m]. All rows are loaded before any is stored: if rows are not whole vectors, a
/// load overlaps the masked store before it and would stall until that is in the cache (12 -> 12 channels, 6^3: 47 ->
/// 26 us).
template <class T, int MR, int NV, bool Masked, class RowAt>
inline __attribute__((always_inline)) void add_rows(typename Simd<T>::V (&acc)[MR][NV], std::int64_t last_lanes,
                                                    const RowAt& row_at) {
  using S = Simd<T>;
#pragma GCC unroll 16
  for (int m = 0; m < MR; ++m) {
    const Sum<T>* const d = row_at(m);
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) {
      const Sum<T>* const p = d + v * S::lanes;
      acc[m][v] = S::add(Masked && v == NV - 1 ? S::load_first(p, last_lanes) : S::load(p), acc[m][v]);
    }
  }
#pragma GCC unroll 16
  for (int m = 0; m < MR; ++m) {
    Sum<T>* const d = row_at(m);
#pragma GCC unroll 8
    for (int v = 0; v + 1 < NV; ++v) S::store(d + v * S::lanes, acc[m][v]);
    if (Masked)
      S::store_first(d + (NV - 1) * S::lanes, acc[m][NV - 1], last_lanes);
    else
      S::store(d + (NV - 1) * S::lanes, acc[m][NV - 1]);
  }
}

template <class T, int MR, int NV, bool Masked, class Next = NoNextPiece>
__attribute__((noinline)) void weight_tile(const WgradArgs<T>& a, std::int64_t x, std::int64_t row, std::int64_t co,
                                           std::int64_t last_lanes, const Next& next = {}) {
  typename Simd<T>::V acc[MR][NV];
  outer_product<T, MR, NV, Masked, false>(acc, a.x + x, a.x_indirection, a.dy + co, a.y_indirection, a.positions,
                                          last_lanes, nullptr, next);
  add_rows<T, MR, NV, Masked>(acc, last_lanes, [&](int m) { return a.dw + (row + m) * a.dw_stride + co; });
}

/// Tiles prefetch for the next piece: those of the first channels prefetch all lines of x, the first tiles those of dy.
/// Only the largest tiles have cycles to spare for that.
template <class T, int NV>
void weight_runs(const WgradArgs<T>& a, std::int64_t co, std::int64_t last_lanes) {
  std::int64_t tile = 0;
  for (const TapRun *t = a.taps, *end = t + a.tap_count; t != end; ++t)
    in_tiles<tile_rows<T>(NV)>(t->k, [&](std::int64_t first, auto rows) {
      constexpr int mr = decltype(rows)::value;
      if constexpr (mr + 2 >= tile_rows<T>(NV))
        if (const std::int64_t at = tile++;
            a.ahead > 0 && (co == a.co_begin || at < NV) && last_lanes == Simd<T>::lanes) {
          const T *const x = a.x + t->x + first, *const dy = a.dy + co + at % NV * Simd<T>::lanes;
          const NextPieces<T> next = {{x, a.x_indirection + (co == a.co_begin ? a.ahead : 0)},
                                      {dy, a.y_indirection + (at < NV ? a.ahead : 0)}};
          weight_tile<T, mr, NV, false>(a, t->x + first, t->w + first, co, last_lanes, next);
          return;
        }
      if (last_lanes == Simd<T>::lanes)
        weight_tile<T, mr, NV, false>(a, t->x + first, t->w + first, co, last_lanes);
      else
        weight_tile<T, mr, NV, true>(a, t->x + first, t->w + first, co, last_lanes);
    });
}

/// The rows of a tile of half vectors. They leave registers for the half vectors of four positions.
constexpr int half_tile_rows = 27;

/// The offsets of the elements and the weight rows of a tile whose rows come from several taps.
struct TileRows {
  std::int64_t x[half_tile_rows], w[half_tile_rows];
};

inline std::int64_t rows_of(const TapRun* taps, std::int64_t tap_count) {
  std::int64_t rows = 0;
  for (std::int64_t t = 0; t < tap_count; ++t) rows += taps[t].k;
  return rows;
}

/// Takes the next n rows of the taps. `tap` and `done`, the number of its rows taken so far, advance.
inline void take_rows(const TapRun*& tap, std::int64_t& done, int n, TileRows& rows) {
  for (int m = 0; m < n;) {
    if (done == tap->k) ++tap, done = 0;
    const std::int64_t x = tap->x + done - m, w = tap->w + done - m;
    const int end = static_cast<int>(m + tap->k - done < n ? m + tap->k - done : n);
    done += end - m;
    for (; m < end; ++m) rows.x[m] = x + m, rows.w[m] = w + m;
  }
}

template <class T, int MR, int NV>
__attribute__((noinline)) void scattered_tile(const WgradArgs<T>& a, const TileRows& rows, std::int64_t co,
                                              std::int64_t last_lanes, const NextPiece<T>& next) {
  typename Simd<T>::V acc[MR][NV];
  outer_product<T, MR, NV, true, true>(acc, a.x, a.x_indirection, a.dy + co, a.y_indirection, a.positions, last_lanes,
                                       rows.x, next);
  add_rows<T, MR, NV, true>(acc, last_lanes, [&](int m) { return a.dw + rows.w[m] * a.dw_stride + co; });
}

/// Tiles of few rows use a line of dy for a short time, so their loops would stall on memory. Each loop prefetches a
/// part of the next piece's lines.
template <class T>
NextPiece<T> next_piece(const WgradArgs<T>& a, std::int64_t pass) {
  constexpr std::int64_t line = 64 / sizeof(T);
  const std::int64_t lines = (a.co_end - a.co_begin + line - 1) / line;
  return {a.dy + a.co_begin + pass % lines * line, a.y_indirection + a.ahead};
}

template <class T, int NV>
void weight_scattered(const WgradArgs<T>& a, std::int64_t co, std::int64_t last_lanes) {
  const TapRun* tap = a.taps;
  std::int64_t done = 0, pass = (co - a.co_begin) / Simd<T>::lanes;
  in_steps<tile_rows<T>(NV), 3>(rows_of(a.taps, a.tap_count), [&](std::int64_t, auto rows) {
    constexpr int mr = decltype(rows)::value;
    TileRows at;
    take_rows(tap, done, mr, at);
    scattered_tile<T, mr, NV>(a, at, co, last_lanes, next_piece(a, pass++));  // the loads hide the cost of the mask
  });
}

/// Whether runs fill less than half a tile. Then several share one, because a tile of few rows is bound by its loads.
template <class T, int NV>
bool are_short(const WgradArgs<T>& a) {
  return a.tap_count > 1 && 2 * rows_of(a.taps, a.tap_count) < tile_rows<T>(NV) * a.tap_count;
}

template <class T, int NV>
void weight_block(const WgradArgs<T>& a, std::int64_t co, std::int64_t last_lanes) {
  if (are_short<T, NV>(a))
    weight_scattered<T, NV>(a, co, last_lanes);
  else
    weight_runs<T, NV>(a, co, last_lanes);
}

/// acc += `Positions` outer products. Half vectors need two loads per cycle, so an offset is loaded once for all.
template <class T, int MR, int Positions>
inline __attribute__((always_inline)) void half_step(typename Simd<T>::Half::V (&acc)[MR], const WgradArgs<T>& a,
                                                     std::int64_t j, const std::int64_t* at, std::int64_t co,
                                                     std::int64_t n) {
  using H = typename Simd<T>::Half;
  const T* x[Positions];
  typename H::V b[Positions];
#pragma GCC unroll 4
  for (int p = 0; p < Positions; ++p) {
    x[p] = hide_from_optimizer(a.x + a.x_indirection[j + p]);
    b[p] = H::load_first(a.dy + a.y_indirection[j + p] + co, n);
  }
  const std::int64_t* const offsets = hide_from_optimizer(at);
#pragma GCC unroll 32
  for (int m = 0; m < MR; ++m) {
    const std::int64_t offset = offsets[m];
#pragma GCC unroll 4
    for (int p = 0; p < Positions; ++p) acc[m] = H::fma(H::set1(x[p][offset]), b[p], acc[m]);
  }
}

template <class T, int MR>
__attribute__((noinline)) void half_tile(const WgradArgs<T>& a, const TileRows& rows, std::int64_t co, std::int64_t n) {
  using H = typename Simd<T>::Half;
  typename H::V acc[MR];
#pragma GCC unroll 32
  for (int m = 0; m < MR; ++m) acc[m] = H::zero();
  std::int64_t j = 0;
  for (; j + 4 <= a.positions; j += 4) half_step<T, MR, 4>(acc, a, j, rows.x, co, n);
  for (; j < a.positions; ++j) half_step<T, MR, 1>(acc, a, j, rows.x, co, n);
  const auto row_at = [&](int m) { return a.dw + rows.w[m] * a.dw_stride + co; };  // loads come first, as in add_rows
#pragma GCC unroll 32
  for (int m = 0; m < MR; ++m) acc[m] = H::add(H::load_first(row_at(m), n), acc[m]);
#pragma GCC unroll 32
  for (int m = 0; m < MR; ++m) H::store_first(row_at(m), acc[m], n);
}

template <class T>
constexpr bool has_half = requires {
  typename Simd<T>::Half;
};

/// The lanes of the smallest vector that wgrad uses.
template <class T>
constexpr int weight_lanes = has_half<T> ? Simd<T>::lanes / 2 : Simd<T>::lanes;

/// Computes the n <= lanes / 2 channels from co on.
template <class T>
void weight_half(const WgradArgs<T>& a, std::int64_t co, std::int64_t n) {
  const TapRun* tap = a.taps;
  std::int64_t done = 0;
  in_steps<half_tile_rows, 3>(rows_of(a.taps, a.tap_count), [&](std::int64_t, auto rows) {
    constexpr int mr = decltype(rows)::value;
    TileRows at;
    take_rows(tap, done, mr, at);
    half_tile<T, mr>(a, at, co, n);
  });
}

template <class T>
void weight_columns(const WgradArgs<T>& a) {
  constexpr int lanes = Simd<T>::lanes;
  for (std::int64_t co = a.co_begin; co < a.co_end; co += 2 * lanes) {
    const std::int64_t left = a.co_end - co;
    if constexpr (has_half<T>) {
      if (left <= lanes / 2) return weight_half(a, co, left);
    }
    if (left > lanes)
      weight_block<T, 2>(a, co, left < 2 * lanes ? left - lanes : lanes);
    else
      weight_block<T, 1>(a, co, left);
  }
}

/// wgrad cuts the positions into pieces of read_positions, and computes all channels per piece, in three cases: if runs
/// are short, because most reads are then of dy; if rows and products are few, because there is then little computation
/// per read, and adding the pieces costs little; and always with the small tiles of 16 registers, which are bound by L2
/// unless the data of a piece are in L1.
template <class T>
constexpr bool small_tiles = Simd<T>::registers < 32;
template <class T>
constexpr std::int64_t read_positions = small_tiles<T> ? 128 : 256;
constexpr std::int64_t few_rows = 256, few_products = 16 << 10;

template <class T>
void wgrad(const WgradArgs<T>& a) {
  const std::int64_t rows = rows_of(a.taps, a.tap_count);
  const bool few = a.ahead > 0 && rows <= few_rows && rows * (a.co_end - a.co_begin) <= few_products;
  if (!few && !small_tiles<T> && !are_short<T, 2>(a)) return weight_columns(a);
  const std::int64_t pieces = (a.positions + read_positions<T> - 1) / read_positions<T>;
  WgradArgs<T> piece = a;
  for (std::int64_t i = 0; i < pieces; ++i) {
    const std::int64_t begin = a.positions * i / pieces;
    piece.x_indirection = a.x_indirection + begin;
    piece.y_indirection = a.y_indirection + begin;
    piece.positions = a.positions * (i + 1) / pieces - begin;
    weight_columns(piece);
  }
}

/// A tile of MR output channels x NV vectors of weight rows.
template <class T, int MR, int NV, bool Masked>
__attribute__((noinline)) void weight_few_tile(const WgradArgs<T>& a, std::int64_t x, std::int64_t row, std::int64_t co,
                                               std::int64_t last_lanes) {
  using S = Simd<T>;
  typename S::V acc[MR][NV];
  outer_product<T, MR, NV, Masked>(acc, a.dy + co, a.y_indirection, a.x + x, a.x_indirection, a.positions, last_lanes,
                                   nullptr, NextLines<T, NV>{a.x + x, a.x_indirection + a.ahead});
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
void weight_few_channels(const WgradArgs<T>& a, std::int64_t co) {
  constexpr int lanes = Simd<T>::lanes;
  constexpr int most = Simd<T>::registers == 32 ? (MR == 4 ? 5 : 6) : (MR > 2 ? 2 : 4);
  for (const TapRun *t = a.taps, *end = t + a.tap_count; t != end; ++t)
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
void wgrad_narrow(const WgradArgs<T>& a) {
  std::int64_t co = a.co_begin;
  for (; co + 4 <= a.co_end; co += 4) weight_few_channels<T, 4>(a, co);
  if (co < a.co_end)
    with_constant<3>(a.co_end - co, [&](auto rows) { weight_few_channels<T, decltype(rows)::value>(a, co); });
}

template <class T, int MR, bool Masked>
__attribute__((noinline)) void weight_depthwise_tile(const WgradArgs<T>& a, const TapRun* taps, std::int64_t c,
                                                     std::int64_t n) {
  using S = Simd<T>;
  const auto load = [n](const T* p) { return Masked ? S::load_first(p, n) : S::load(p); };
  typename S::V acc[MR];
#pragma GCC unroll 16
  for (int m = 0; m < MR; ++m) acc[m] = S::zero();
  for (std::int64_t j = 0; j < a.positions; ++j) {
    const T* const x = hide_from_optimizer(a.x + a.x_indirection[j] + c);
    const TapRun* const tap = taps;
    const typename S::V b = load(a.dy + a.y_indirection[j] + c);
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
void wgrad_depthwise(const WgradArgs<T>& a) {
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
