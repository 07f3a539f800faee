// The data passes by Winograd's algorithm, block by block (tiling.hpp). Each stage of a block transforms the inputs,
// multiplies and transforms the products to outputs. Stages keep the workspace small: one of F(2, 3) has 16 of the 64
// points, one of wide tiles at most 108 of 292 or, with few channels, all. Outputs are summed in place. Internal.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/base/threads.hpp"
#include "voxgrad/framework/kernels/common/cache.hpp"
#include "voxgrad/framework/kernels/common/driver.hpp"
#include "voxgrad/framework/kernels/common/epilogue.hpp"
#include "voxgrad/framework/kernels/winograd/outputs.hpp"
#include "voxgrad/framework/kernels/winograd/prefetch.hpp"
#include "voxgrad/framework/kernels/winograd/product_batches.hpp"
#include "voxgrad/framework/kernels/winograd/tiling.hpp"
#include "voxgrad/framework/kernels/winograd/transformed_layout.hpp"
#include "voxgrad/framework/kernels/winograd/uneven.hpp"

namespace vg::kernels::winograd {

/// Bytes of the inputs and products of a tile in the stage with the most points.
inline std::int64_t tile_bytes(const Conv3dProblem& p, const Points& points, std::size_t element) {
  return points.most(points.slices_per_stage()) * (SubKernels(p).rows() * p.in_channels + p.out_channels) *
         static_cast<std::int64_t>(element);
}

/// Tiles per block. The transformed values of a stage fill at most half of L2, except that a block has enough tiles for
/// one or two register tiles. A problem with few tiles is divided into two blocks.
inline std::int64_t block_tiles(const Conv3dProblem& p, const Points& points, std::size_t element) {
  const std::int64_t most = points.has_wide_tiles() ? 16 : 32;  // their stages are long: more would not stay in L2
  return std::min(std::clamp<std::int64_t>(cache::winograd_block / tile_bytes(p, points, element), 16, most),
                  std::max<std::int64_t>(8, ceil_div(tiles_of(p, points), 2)));
}

/// The points, with all slices of wide tiles in one stage if a block then stays in L2 together with the weights. With
/// more channels, prefetched lines would be evicted before they are read.
inline Points stages_of(const Conv3dProblem& p, const Points& points, std::size_t element) {
  if (!points.has_wide_tiles()) return points;
  const Points all = points.at_once();
  return 16 * tile_bytes(p, all, element) <= cache::winograd_block_at_once ? all : points;
}

/// The input or output side of a block: the volume, the layout of its transformed values, and the transforms for its
/// number of channels.
template <class T, class Element>
struct BlockSide {
  const ConcatView<Element>& volume;
  const TransformedLayout& layout;
  const WinogradTable<T>& table;
};

/// How many points one call multiplies if each point has `products` products of vectors. A call costs some hundred
/// cycles, so it has several points; the lines prefetched between two calls must be few, so it does not have all.
inline int points_at_once(std::int64_t products) {
  return static_cast<int>(std::clamp<std::int64_t>(1024 / std::max<std::int64_t>(1, products), 1, 16));
}

/// Computes the outputs of one block. product(batch, v, m, Prefetch::Share) multiplies all tiles at the points of a
/// batch. `levels`: see OutputTransformArgs.
template <class T, class Product>
void data_pass_block(const Tiling& tiling, const Tiling::Block& block, const Tiling::Block* next, Prefetch& prefetch,
                     const BlockSide<T, const T>& in, T* v, const BlockSide<T, T>& out, BlockOutputs<T>& y, T* m,
                     WinogradLevels<T>* levels, const ProductBatches& batches, Product&& product) {
  const Points& points = tiling.points();
  const int slices_per_stage = tiling.slices_per_stage(block);
  for (int slice = 0; slice < tiling.slices(); slice += slices_per_stage) {
    const int slices = tiling.slices_of(block, slice, slices_per_stage);
    if (slices == 0) continue;
    transform_inputs(tiling, block, slice, slices, in.volume, in.layout, v, in.table.of_points(points.along).input);
    const Points::PrefetchPlan plan = points.prefetch_plan(slice, tiling.is_last(block, slice));
    if (plan.now || next != nullptr) prefetch.add_inputs(tiling, plan.now ? block : *next, plan, in.volume);
    const int before = points.before(slice), count = points.points(slice, slices);
    for (const ProductBatch& batch : batches.slices_per_stage(slice)) {
      const int point = batch.point - before;
      if (point >= count) break;  // of omitted slices
      product(batch, v + point * in.layout.point_stride, m + batch.value * out.layout.point_stride,
              prefetch.share(point + batch.count, count));
    }
    prefetch.clear();
    y.each_side(block, slice, [&](OutputTransformArgs<T>& g, std::int64_t run, std::int64_t channels_before) {
      g.from = m + (run - block.run_begin) * block.depth_tiles * out.layout.ld + channels_before;
      g.ld = out.layout.ld;
      g.point_stride = out.layout.point_stride;
      g.levels = levels;
      out.table.of_points(points.along).output(g);
    });
  }
}

/// Computes all blocks; products(block) returns the `product` of a block. in_place: the products of a point replace its
/// inputs.
template <class T, class Products>
void data_pass_blocks(const DataPassOperands<T>& of, const Tiling& tiling, const BlockSide<T, const T>& in,
                      const BlockSide<T, T>& out, const Epilogue<T>& epilogue, const Products& products,
                      bool in_place = false) {
  const Conv3dProblem& p = of.p;
  const bool spreads = tiling.points().has_long_tiles() || tiling.points().has_wide_tiles();
  // a task computes consecutive blocks, because these share planes
  const std::int64_t tasks = std::min<std::int64_t>(tiling.blocks(), 32);
  bool stream = p.rhs_dilation[2] == 1;
  for_each_source(out.volume, [&](T* y, std::int64_t, std::int64_t) { stream = stream && should_stream(p, y); });
  const bool applied = epilogue.begin(tasks, p.rhs_dilation[2] == 1);
  const std::int64_t points = tiling.points().most(tiling.points().slices_per_stage());
  const bool folded = tiling.points().has_wide_tiles() && out.table.fold != nullptr;
  const int at_once = points_at_once(tiling.most_tiles() * tiling.parts().all() * p.in_channels *
                                     ceil_div(p.out_channels, out.table.lanes));
  const ProductBatches whole(tiling.points(), tiling.points().slices_per_stage(), folded, at_once),
      shorter(tiling.points(), tiling.points().remainder_slices_per_stage(), folded, at_once);
  parallel_for(
      tasks,
      [&](std::int64_t task) {
        memory::Scratch<T> v(points * in.layout.point_stride);
        memory::Scratch<T> m(in_place ? 0 : whole.values() * out.layout.point_stride);
        BlockOutputs<T> y(tiling, p.out_channels, out.volume, stream);
        Prefetch prefetch(tiling.points());
        BlockIterator walk(tiling, tiling.blocks() * task / tasks, tiling.blocks() * (task + 1) / tasks);
        for (; !walk.done(); walk.step()) {
          WinogradLevels<T> levels;
          data_pass_block<T>(tiling, walk.block(), walk.next(), prefetch, in, v.data(), out, y,
                             in_place ? v.data() : m.data(), &levels, tiling.is_whole(walk.block()) ? whole : shorter,
                             products(walk.block()));
          if (spreads && may_be_uneven(levels)) mend_uneven_tiles(of, tiling, walk.block(), levels, y);
          if (applied || y.is_buffered())
            y.finish(walk.block(), out.table, [&](std::int64_t first, std::int64_t rows, T* at) {
              if (applied) epilogue.apply(task, first, rows, at);
            });
        }
        y.end(out.table);
      },
      is_small(p));
  if (!applied) epilogue.pass(outputs(p), p.out_channels, out.volume.data[0]);
}

}  // namespace vg::kernels::winograd
