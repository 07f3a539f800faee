// The data passes, forward and backward-data. They transform the weights once. Each task then works on consecutive
// blocks of tiles (tiling.hpp), which share planes. Each stage of a block transforms the inputs, multiplies and
// transforms the products to outputs. Stages keep the workspace small: one of F(2, 3) has 16 of the 64 points, one of
// wide tiles at most 108 of 292 or, with few channels, all. Outputs are summed in place.
#include <algorithm>

#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/base/threads.hpp"
#include "voxgrad/framework/kernels/common/cache.hpp"
#include "voxgrad/framework/kernels/common/driver.hpp"
#include "voxgrad/framework/kernels/winograd/checks.hpp"
#include "voxgrad/framework/kernels/winograd/layout.hpp"
#include "voxgrad/framework/kernels/winograd/loops.hpp"
#include "voxgrad/framework/kernels/winograd/output.hpp"
#include "voxgrad/framework/kernels/winograd/prefetch.hpp"
#include "voxgrad/framework/kernels/winograd/products.hpp"
#include "voxgrad/framework/kernels/winograd/tiling.hpp"
#include "voxgrad/framework/kernels/winograd/weights.hpp"

namespace vg::kernels::winograd {

using std::int64_t;

namespace {

/// Bytes of the inputs and products of a tile in the stage with the most points.
int64_t tile_bytes(const Conv3dProblem& p, const Scheme& scheme, std::size_t element) {
  const int64_t in = scheme.most(scheme.stage_slices) * scheme.subkernel_rows() * p.in_channels;
  return (in + scheme.most_y(scheme.stage_slices) * p.out_channels) * static_cast<int64_t>(element);
}

/// The scheme, with all slices of wide tiles in one stage if a block then stays in L2 together with the weights. With
/// more channels, prefetched lines would be evicted before they are read.
Scheme with_stages(const Conv3dProblem& p, const Scheme& scheme, std::size_t element) {
  Scheme all = scheme;
  all.stage_slices = scheme.slices();
  const bool fits = 16 * tile_bytes(p, all, element) <= cache::winograd_block_at_once;
  return scheme.has_wide_tiles() && fits ? all : scheme;
}

}  // namespace

int64_t block_tiles(const Conv3dProblem& p, const Scheme& scheme, std::size_t element) {
  const int64_t bytes = tile_bytes(p, scheme, element);
  if (scheme.strided) return std::clamp<int64_t>(cache::winograd_strided_block / bytes, 8, 32);
  const int64_t most = scheme.has_wide_tiles() ? 16 : 32;  // their stages are long: more would not stay in L2
  return std::min(std::clamp<int64_t>(cache::winograd_block / bytes, 16, most),
                  std::max<int64_t>(8, ceil_div(tiles_of(p, scheme), 2)));
}

template <class T>
void data_pass_by_blocks(const Conv3dProblem& p, const Scheme& of_problem, bool transpose, const ConcatView<const T>& x,
                         const T* w, const ConcatView<T>& y, const Epilogue<T>& epilogue) {
  const Scheme scheme = with_stages(p, of_problem, sizeof(T));
  const Tiling tiling(p, scheme, block_tiles(p, scheme, sizeof(T)));
  TransformedWeights<T> u(p, scheme, transpose, w);
  const auto table_of = [&](int64_t channels) -> const WinogradTable<T>& {
    return u.in_rows() ? winograd_table<T>(channels) : current_winograd_table<T>();
  };
  const WinogradTable<T>&in_table = table_of(p.in_channels), &out_table = table_of(p.out_channels);
  const auto& in_kernels = transforms_of(in_table, scheme);
  const auto& out_kernels = transforms_of(out_table, scheme);
  const TransformedLayout in(p.in_channels, tiling.most_input_tiles(), in_table.lanes),
      out(p.out_channels, tiling.most_tiles(), out_table.lanes);
  const BlockProducts<T> products(p, tiling, in, out, out_table.lanes, u);
  const bool in_place = products.may_be_in_place();
  const DataPassOperands<T> operands(p, transpose, x, w);
  const int64_t blocks = tiling.blocks(), tasks = std::min<int64_t>(blocks, 32);
  const bool applied = epilogue.begin(tasks, p.rhs_dilation[2] == 1);  // needs contiguous rows of outputs
  bool stream = p.rhs_dilation[2] == 1 && !(scheme.strided && applied);
  for_each_source(y, [&](T* data, int64_t, int64_t) { stream = stream && should_stream(p, data); });

  const auto run = [&](int64_t task, int64_t begin, int64_t end) {
    memory::Scratch<T> v(scheme.most(scheme.stage_slices) * in.point_stride);
    memory::Scratch<T> other(in_place ? 0 : products.values() * out.point_stride);
    memory::Scratch<int64_t> offsets(2 * tiling.most_tiles());
    T* const m = in_place ? v.data() : other.data();
    BlockOutputs<T> outputs(tiling, p.out_channels, y, stream);
    Prefetch prefetch(tiling);
    tiling.each_block(begin, end, [&](const Tiling::Block& block, const Tiling::Block* next) {
      WinogradLevels<T> levels;
      products.begin(block, offsets.data());
      const int stage_slices = tiling.stage_slices(block);
      for (int slice = 0; slice < scheme.slices(); slice += stage_slices) {
        const int slices = tiling.slices_of(block, slice, stage_slices);
        if (slices == 0) continue;
        transform_inputs(tiling, block, slice, slices, x, in, v.data(), in_kernels.input);
        prefetch.add_stage(block, next, slice, x);
        products.multiply(block, offsets.data(), slice, slices, v.data(), m, prefetch);
        prefetch.clear();
        outputs.each_run(block, slice, [&](OutputTransformArgs<T>& g, int64_t i, int64_t channels_before) {
          g.from = m + (i - block.run_begin) * block.depth_tiles * out.ld + channels_before;
          g.ld = out.ld;
          g.point_stride = out.point_stride;
          g.levels = &levels;
          out_kernels.output(g);
        });
      }
      if (scheme.spreads() && may_be_uneven(levels)) mend_uneven_tiles(operands, tiling, block, levels, outputs);
      if (applied || outputs.is_buffered())
        outputs.finish(block, out_table, [&](int64_t first, int64_t rows, T* at) {
          if (applied) epilogue.apply(task, first, rows, at);
        });
    });
    outputs.end(out_table);
  };
  parallel_for(
      tasks, [&](int64_t task) { run(task, blocks * task / tasks, blocks * (task + 1) / tasks); }, is_small(p));
  if (!applied) epilogue.pass(outputs(p), p.out_channels, y.data[0]);
}

template void data_pass_by_blocks<float>(const Conv3dProblem&, const Scheme&, bool, const ConcatView<const float>&,
                                         const float*, const ConcatView<float>&, const Epilogue<float>&);
template void data_pass_by_blocks<double>(const Conv3dProblem&, const Scheme&, bool, const ConcatView<const double>&,
                                          const double*, const ConcatView<double>&, const Epilogue<double>&);

}  // namespace vg::kernels::winograd
