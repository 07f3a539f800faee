// igemm with matrix tiles (AMX). In a step, 2 x 2 tiles of 16 outputs x 16 output channels add up to 16 pairs of input
// channels of 32 outputs (A, the rows of x in place) times the same rows of packed weights (B). Included only by
// kernels_amx.cpp and kernels_portable.cpp. Everything has internal linkage.
//
// The rows of a tile must be at equal distances. So positions are processed in runs whose offsets grow evenly: along D
// inside a volume, along W at its edges. A run is cut into nearly equal chunks of at most 32. The tiles of a chunk have
// exactly its rows, so nothing beyond it is read. The driver pads the channels so that all steps are equal.
//
// `Tiles` implements the tiles: configure(rows of tiles 0, 1, 4; rows of tiles 2, 3, 5; pairs per step), zero<C>,
// load<N>, dot<C, A, B>, store<C>, release. Tiles 0-3 are sums, 4 and 5 are A, 6 and 7 are B.
#pragma once

#include <cstdint>

#include "voxgrad/framework/kernels/common/kernel_table.hpp"

namespace vg::kernels {
namespace {

constexpr std::int64_t tile_size = 16;  // the most outputs, output channels or pairs per tile

/// Outputs first + i, 0 <= i < rows0 + rows1, at equal distances; x_step and y_step are these in bytes.
struct TileRun {
  const Bf16Pair* x;
  float* y;
  std::int64_t rows0, rows1, x_step, y_step;
};

/// Stores sum C in 16 columns at y, or its first n columns.
template <int C, class Tiles>
void store_tile(Tiles& tiles, float* y, std::int64_t rows, std::int64_t step, std::int64_t n) {
  if (n >= tile_size) return tiles.template store<C>(y, step);
  float sums[tile_size * tile_size];
  tiles.template store<C>(sums, tile_size * 4);
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < n; ++c) y[r * (step / 4) + c] = sums[r * tile_size + c];
}

/// Computes one chunk x one block of 32 (TwoColumns) or 16 output channels, of which `left` exist.
template <bool TwoRows, bool TwoColumns, class Tiles>
void tile_chunk(Tiles& tiles, const IgemmArgs<Bf16Pair>& a, const TileRun& run, const Bf16Pair* w, std::int64_t step,
                std::int64_t left) {
  constexpr std::int64_t width = TwoColumns ? 2 * tile_size : tile_size;
  const std::int64_t second = run.rows0 * (run.x_step / 4);
  tiles.template zero<0>();
  if constexpr (TwoColumns) tiles.template zero<1>();
  if constexpr (TwoRows) tiles.template zero<2>();
  if constexpr (TwoRows && TwoColumns) tiles.template zero<3>();
  for (const TapRun *t = a.taps, *end = t + a.tap_count; t != end; ++t)
    for (std::int64_t k = 0; k < t->k; k += step) {
      const Bf16Pair* const x = run.x + t->x + k;
      const Bf16Pair* const b = w + (t->w + k) * width;
      tiles.template load<6>(b, width * 4);
      tiles.template load<4>(x, run.x_step);
      tiles.template dot<0, 4, 6>();
      if constexpr (TwoColumns) {
        tiles.template load<7>(b + tile_size, width * 4);
        tiles.template dot<1, 4, 7>();
      }
      if constexpr (TwoRows) {
        tiles.template load<5>(x + second, run.x_step);
        tiles.template dot<2, 5, 6>();
        if constexpr (TwoColumns) tiles.template dot<3, 5, 7>();
      }
    }
  float* const below = run.y + run.rows0 * (run.y_step / 4);
  store_tile<0>(tiles, run.y, run.rows0, run.y_step, left);
  if constexpr (TwoColumns) store_tile<1>(tiles, run.y + tile_size, run.rows0, run.y_step, left - tile_size);
  if constexpr (TwoRows) store_tile<2>(tiles, below, run.rows1, run.y_step, left);
  if constexpr (TwoRows && TwoColumns) store_tile<3>(tiles, below + tile_size, run.rows1, run.y_step, left - tile_size);
}

/// The end of the run of positions that begins at `first`.
inline std::int64_t run_end(const IgemmArgs<Bf16Pair>& a, std::int64_t first) {
  std::int64_t end = first + 1;
  if (end == a.positions) return end;
  const std::int64_t dx = a.x_indirection[end] - a.x_indirection[first],
                     dy = a.y_indirection[end] - a.y_indirection[first];
  while (end < a.positions && a.x_indirection[end] - a.x_indirection[end - 1] == dx &&
         a.y_indirection[end] - a.y_indirection[end - 1] == dy)
    ++end;
  return end;
}

template <class Tiles>
class TileIgemm {
 public:
  explicit TileIgemm(const IgemmArgs<Bf16Pair>& a)
      : a_(a), step_(a.group_in / ((a.group_in + tile_size - 1) / tile_size)) {}

  void operator()() {
    for (std::int64_t co = a_.co_begin; co < a_.co_end; co += 2 * tile_size)
      for (std::int64_t first = 0; first < a_.positions;) {
        const std::int64_t end = run_end(a_, first);
        run(first, end, co);
        first = end;
      }
    tiles_.release();
  }

 private:
  void run(std::int64_t first, std::int64_t end, std::int64_t co) {
    const bool one = end - first == 1;
    TileRun r{};
    r.x_step = one ? 4 : (a_.x_indirection[first + 1] - a_.x_indirection[first]) * 4;
    r.y_step = one ? 4 : (a_.y_indirection[first + 1] - a_.y_indirection[first]) * 4;
    for (std::int64_t chunks = (end - first + 2 * tile_size - 1) / (2 * tile_size); chunks > 0; --chunks) {
      const std::int64_t size = (end - first) / chunks;
      r.rows0 = size > tile_size ? (size + 1) / 2 : size;
      r.rows1 = size - r.rows0;
      r.x = a_.x + a_.x_indirection[first];
      r.y = a_.y + a_.y_indirection[first] + co;
      chunk(r, co);
      first += size;
    }
  }

  void chunk(const TileRun& r, std::int64_t co) {
    if (r.rows0 != rows0_ || r.rows1 != rows1_) tiles_.configure(rows0_ = r.rows0, rows1_ = r.rows1, step_);
    const Bf16Pair* const w = a_.w + a_.w_rows * co;
    const std::int64_t left = a_.co_end - co;
    if (r.rows1 > 0 && left > tile_size)
      tile_chunk<true, true>(tiles_, a_, r, w, step_, left);
    else if (r.rows1 > 0)
      tile_chunk<true, false>(tiles_, a_, r, w, step_, left);
    else if (left > tile_size)
      tile_chunk<false, true>(tiles_, a_, r, w, step_, left);
    else
      tile_chunk<false, false>(tiles_, a_, r, w, step_, left);
  }

  const IgemmArgs<Bf16Pair>& a_;
  std::int64_t step_, rows0_ = 0, rows1_ = 0;
  Tiles tiles_;
};

template <class Tiles>
void igemm_tiles(const IgemmArgs<Bf16Pair>& a) {
  TileIgemm<Tiles> igemm(a);
  igemm();
}

}  // namespace
}  // namespace vg::kernels
