// Forward and grad_input by Winograd's algorithm, block by block (winograd_tiling.hpp): slice by slice, input to
// points, products, products to outputs. Slices keep the scratch small: a slice has 16 of the 64 points, and its
// outputs are added up in place. Internal.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

#include "framework/kernels/driver.hpp"
#include "framework/kernels/epilogue.hpp"
#include "framework/kernels/winograd_outputs.hpp"
#include "framework/kernels/winograd_points.hpp"
#include "framework/kernels/winograd_tiling.hpp"
#include "framework/memory.hpp"
#include "framework/threads.hpp"

namespace vg::kernels::winograd {

/// Tiles of a block: half of L2 for the transforms of a slice, but enough for a register tile or two; of few tiles two
/// blocks.
inline std::int64_t block_tiles(const Conv3dProblem& p, const Points& points, std::size_t element) {
  const std::int64_t bytes =
      points.of_slice() * (Parts(p).rows() * p.in_channels + p.out_channels) * static_cast<std::int64_t>(element);
  return std::min(std::clamp<std::int64_t>((std::int64_t{512} << 10) / bytes, 16, 32),
                  std::max<std::int64_t>(8, ceil_div(tiles_of(p, points), 2)));
}

/// Brings what the next block reads into L2 while this one multiplies: without it, the transforms wait for memory (rows
/// are short and many). Spread over the products, so that it never fills the queues.
class Prefetch {
 public:
  /// The rows of a side, as far as tiles of `step` elements and what they share reach.
  template <class T>
  void add(const WinogradGather<T>& g, std::int64_t step) {
    const std::int64_t end = std::min(g.depth, g.first + step * g.tiles + 2);
    for (int r = 0; r < 4; ++r) {
      add_row(g, g.a[r], end);
      add_row(g, g.b[r], end);
    }
  }
  /// All runs of a block in one slice.
  template <class T>
  void add_inputs(const Tiling& tiling, const Tiling::Block& block, int slice, const Joined<const T>& x) {
    each_part(x, [&](const T* data, std::int64_t channels, std::int64_t) {
      for (std::int64_t run = block.run_begin; run < block.run_end; ++run)
        add(tiling.input(block, run, slice, data, channels), tiling.points().step(2));
    });
  }
  /// The `part`-th of `parts` equal pieces; the last one empties the list.
  void run(int part, int parts) {
    const std::size_t end = rows_.size() * static_cast<std::size_t>(part + 1) / static_cast<std::size_t>(parts);
    for (; next_ < end; ++next_)
      for (const char* p = rows_[next_].begin; p < rows_[next_].end; p += 64) __builtin_prefetch(p, 0, 2);
    if (part + 1 == parts) {
      rows_.clear();
      next_ = 0;
    }
  }

 private:
  struct Row {
    const char *begin, *end;
  };
  template <class T>
  void add_row(const WinogradGather<T>& g, const T* row, std::int64_t end) {
    if (row == nullptr) return;
    const std::int64_t first = std::max<std::int64_t>(0, g.first);
    const char* const begin = reinterpret_cast<const char*>(row + first * g.stride);
    // neighbouring runs share rows
    for (std::size_t i = rows_.size(); i > 0 && rows_.size() - i < 8; --i)
      if (rows_[i - 1].begin == begin) return;
    rows_.push_back({begin, reinterpret_cast<const char*>(row + (end - 1) * g.stride + g.channels)});
  }
  std::vector<Row> rows_;
  std::size_t next_ = 0;
};

/// One side of a block: the volume, how its tiles are kept by point, and the transforms for so many channels.
template <class T, class Element>
struct BlockSide {
  const Joined<Element>& volume;
  const PointLayout& layout;
  const WinogradTable<T>& table;
};

/// One block up to its outputs; product(point of all slices, v, m) multiplies the tiles of a point. `finite` as
/// WinogradScatter's.
template <class T, class Product>
void gather_block(const Tiling& tiling, const Tiling::Block& block, const Tiling::Block* next, Prefetch& prefetch,
                  const BlockSide<T, const T>& in, T* v, const BlockSide<T, T>& out, BlockOutputs<T>& y, T* m,
                  bool* finite, Product&& product) {
  const Points& points = tiling.points();
  const int w = points.along[1], d = points.along[2];
  for (int slice = 0; slice < tiling.slices(); ++slice) {
    inputs_to_points(tiling, block, slice, in.volume, in.layout, v, of_points(in.table.input, w, d));
    // slices 1 and 3 meet the planes that the block before did not
    if (next != nullptr && slice % 2 == 0)
      prefetch.add_inputs(tiling, *next, std::min(slice + 1, tiling.slices() - 1), in.volume);
    for (int point = 0; point < points.of_slice(); ++point) {
      prefetch.run(point, points.of_slice());
      product(slice * points.of_slice() + point, v + point * in.layout.point_stride,
              m + point * out.layout.point_stride);
    }
    y.each_side(block, slice, [&](WinogradScatter<T>& g, std::int64_t run, std::int64_t channels_before) {
      g.from = m + (run - block.run_begin) * block.depth_tiles * out.layout.ld + channels_before;
      g.ld = out.layout.ld;
      g.point_stride = out.layout.point_stride;
      g.finite = finite;
      of_points(out.table.output, w, d)(g);
    });
  }
}

/// Whether gather_blocks applies it: to rows of outputs.
template <class T>
bool takes(const Conv3dProblem& p, const Epilogue<T>& epilogue) {
  return epilogue.any() && p.rhs_dilation[2] == 1;
}

/// All blocks; products(block) gives the block's `product`. In place: a point's outputs replace its inputs. Returns
/// false where long tiles met a value that is not finite.
template <class T, class Products>
bool gather_blocks(const Conv3dProblem& p, const Tiling& tiling, const BlockSide<T, const T>& in,
                   const BlockSide<T, T>& out, const Epilogue<T>& epilogue, const Products& products,
                   bool in_place = false) {
  // consecutive blocks share planes: a task takes some of them
  const std::int64_t tasks = std::min<std::int64_t>(tiling.blocks(), 32);
  bool stream = p.rhs_dilation[2] == 1;
  each_part(out.volume, [&](T* y, std::int64_t, std::int64_t) { stream = stream && should_stream(p, y); });
  std::atomic<bool> all_finite = true;
  const bool applied = takes(p, epilogue);
  if (applied) epilogue.begin(tasks);
  parallel_for(
      tasks,
      [&](std::int64_t task) {
        memory::Scratch<T> v(tiling.points().of_slice() * in.layout.point_stride);
        memory::Scratch<T> m(in_place ? 0 : tiling.points().of_slice() * out.layout.point_stride);
        BlockOutputs<T> y(tiling, p.out_channels, out.volume, stream);
        Prefetch prefetch;
        bool finite = true;
        BlockWalk walk(tiling, tiling.blocks() * task / tasks, tiling.blocks() * (task + 1) / tasks);
        for (; !walk.done(); walk.step()) {
          gather_block<T>(tiling, walk.block(), walk.next(), prefetch, in, v.data(), out, y,
                          in_place ? v.data() : m.data(), &finite, products(walk.block()));
          if (applied || stream)
            y.finish(walk.block(), out.table, [&](std::int64_t first, std::int64_t rows, T* at) {
              if (applied) epilogue.apply(task, first, rows, at);
            });
        }
        y.end(out.table);
        if (!finite) all_finite = false;
      },
      is_small(p));
  return all_finite;
}

}  // namespace vg::kernels::winograd
