// Where the outputs of a block are summed, slice by slice: in the volume or in a buffer. If the volume is too large for
// the caches, they are summed in a buffer in L2, and non-temporal stores write whole rows to the volume, so that memory
// is not read before it is written. They are also buffered if the 16 rows of a wide tile would share a few sets of L1,
// because that takes 2.5 times as long. An epilogue is applied to the rows before they are written. With stride 2 a
// tile has one stage: its outputs are written once, and the output transform itself uses non-temporal stores. Internal.
#pragma once

#include <algorithm>
#include <cstdint>

#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/kernels/common/concat_view.hpp"
#include "voxgrad/framework/kernels/winograd/tiling.hpp"

namespace vg::kernels::winograd {

template <class T>
class BlockOutputs {
 public:
  /// `stream`: whether to use non-temporal stores; should_stream must hold for each tensor, and the kernel must not be
  /// dilated along D. With stride 2 there must be no epilogue then. If there are several tensors, each has whole
  /// vectors of channels.
  BlockOutputs(const Tiling& tiling, std::int64_t channels, const ConcatView<T>& y, bool stream)
      : tiling_(tiling),
        y_(y),
        stream_(stream),
        buffered_(tiling.scheme().strided
                      ? false
                      : stream || (tiling.scheme().has_wide_tiles() &&
                                   tiling.rows_share_sets(channels * static_cast<std::int64_t>(sizeof(T))))),
        rows_(buffered_ ? (tiling.most_tiles() * tiling.scheme().tile_outputs() +
                           tiling.most_runs() * tiling.scheme().tile_rows() * line) *
                              channels
                        : 0) {}

  /// Whether the outputs are buffered until `finish`.
  bool is_buffered() const { return buffered_; }

  /// f(args, run, number of channels in the tensors before) for each run and tensor; the caller sets `from`, its
  /// strides and `levels`.
  template <class F>
  void each_run(const Tiling::Block& block, int slice, const F& f) {
    each_tensor(block, slice, [&](OutputTransformArgs<T>& g, std::int64_t run, std::int64_t before) {
      g.stream = stream_;
      if (buffered_) each_row(g, block, run, before, [](T*& y, T* row, std::int64_t) { y = row; });
      f(g, run, before);
    });
  }
  /// Call this after the last slice. It passes rows to row(first voxel, number of voxels, outputs), which may change
  /// the outputs, and then writes them to the volume if they are buffered. `row` may use its arguments only if there is
  /// one tensor and the kernel is not dilated along D. Adjacent rows are passed together, except with stride 2.
  template <class Row>
  void finish(const Tiling::Block& block, const WinogradTable<T>& table, const Row& row) {
    T *y = nullptr, *in_cache = nullptr;  // adjacent rows collected so far
    std::int64_t n = 0;
    const auto finish_rows = [&] {
      if (n == 0) return;
      row((y - y_.data[0]) / y_.channels[0], n / y_.channels[0], in_cache);
      if (buffered_ && stream_)
        table.stream(n, in_cache, y);
      else if (buffered_)
        std::copy_n(in_cache, n, y);
    };
    each_tensor(block, 0, [&](OutputTransformArgs<T>& g, std::int64_t run, std::int64_t before) {
      each_row(g, block, run, before, [&](T*& next, T* next_in_cache, std::int64_t size) {
        if (next != y + n || next_in_cache != in_cache + n || tiling_.scheme().strided) {
          finish_rows();
          y = buffered_ ? next : next_in_cache;
          in_cache = next_in_cache;
          n = 0;
        }
        n += size;
      });
    });
    finish_rows();
  }
  /// Call this before other code reads the volume.
  void end(const WinogradTable<T>& table) const {
    if (stream_) table.stream_end();
  }

 private:
  static constexpr std::int64_t line = 64 / sizeof(T);
  template <class F>
  void each_tensor(const Tiling::Block& block, int slice, const F& f) const {
    for_each_source(y_, [&](T* y, std::int64_t channels, std::int64_t before) {
      for (std::int64_t run = block.run_begin; run < block.run_end; ++run) {
        OutputTransformArgs<T> g = tiling_.output(block, run, slice, y, channels);
        f(g, run, before);
      }
    });
  }
  /// f(row of the volume, address of its outputs, number of elements) for each row. The outputs are in the buffer,
  /// after those of the `before` channels of other tensors, or in the volume itself.
  template <class F>
  void each_row(OutputTransformArgs<T>& g, const Tiling::Block& block, std::int64_t run, std::int64_t before,
                const F& f) {
    const Scheme& scheme = tiling_.scheme();
    const std::int64_t length = block.depth_tiles * scheme.outputs[2];
    const std::int64_t begin = std::max<std::int64_t>(0, g.first), end = std::min(g.depth, g.first + length);
    std::int64_t row_size = length * g.channels;
    if (row_size % (16 * line) == 0) row_size += line;  // to use different sets of L1
    const std::int64_t first =
        before * (block.tiles() * scheme.tile_outputs() + block.runs() * scheme.tile_rows() * line) +
        (run - block.run_begin) * scheme.tile_rows() * row_size;
    for (std::int64_t h = 0; h < scheme.outputs[0]; ++h)
      for (std::int64_t w = 0; w < scheme.outputs[1]; ++w) {
        T*& row = g.y[h][w];
        if (row == nullptr) continue;
        T* const in_l2 = rows_.data() + first + (h * scheme.outputs[1] + w) * row_size;
        f(row, buffered_ ? in_l2 : row + begin * g.channels, (end - begin) * g.channels);
      }
  }

  const Tiling& tiling_;
  const ConcatView<T>& y_;
  bool stream_, buffered_;
  memory::Scratch<T> rows_;
};

}  // namespace vg::kernels::winograd
