// Where the outputs of a block are summed, slice by slice: in the volume or in a buffer. If the volume is too large for
// the caches, they are summed in a buffer in L2, and non-temporal stores write whole rows to the volume, so that memory
// is not read before it is written. They are also buffered if the 16 rows of a wide tile would share a few sets of L1,
// because that takes 2.5 times as long. An epilogue is applied to the rows before they are written. Internal.
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
  /// dilated along D. If there are several tensors, each has whole vectors of channels.
  BlockOutputs(const Tiling& tiling, std::int64_t channels, const ConcatView<T>& y, bool stream)
      : tiling_(tiling),
        y_(y),
        stream_(stream),
        buffered_(stream || (tiling.points().has_wide_tiles() &&
                             tiling.rows_share_sets(channels * static_cast<std::int64_t>(sizeof(T))))),
        rows_(buffered_ ? (tiling.most_tiles() * tile_outputs() + tiling.most_runs() * tile_rows() * line) * channels
                        : 0) {}

  /// Whether the outputs are buffered until `finish`.
  bool is_buffered() const { return buffered_; }

  /// f(args, run, number of channels in the tensors before) for each run and tensor; the caller sets `from`, its
  /// strides and `levels`.
  template <class F>
  void each_side(const Tiling::Block& block, int slice, const F& f) {
    each_tensor(block, slice, [&](OutputTransformArgs<T>& g, std::int64_t run, std::int64_t before) {
      if (buffered_) each_row(g, block, run, before, [](T*& y, T* row, std::int64_t) { y = row; });
      f(g, run, before);
    });
  }
  /// Call this after the last slice. It passes rows to row(first voxel, number of voxels, outputs), which may change
  /// the outputs, and then writes them to the volume if they are buffered. `row` may use its arguments only if there is
  /// one tensor and the kernel is not dilated along D.
  template <class Row>
  void finish(const Tiling::Block& block, const WinogradTable<T>& table, const Row& row) {
    T *y = nullptr, *in_cache = nullptr;  // adjacent rows collected so far
    std::int64_t n = 0;
    const auto finish_rows = [&] {
      if (n == 0) return;
      row((y - y_.data[0]) / y_.channels[0], n / y_.channels[0], in_cache);
      if (stream_)
        table.stream(n, in_cache, y);
      else if (buffered_)
        std::copy_n(in_cache, n, y);
    };
    each_tensor(block, 0, [&](OutputTransformArgs<T>& g, std::int64_t run, std::int64_t before) {
      each_row(g, block, run, before, [&](T* next, T* next_in_cache, std::int64_t size) {
        if (next != y + n || next_in_cache != in_cache + n) {
          finish_rows();
          y = next;
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
  std::int64_t tile_rows() const { return tiling_.points().step(0) * tiling_.points().step(1); }
  std::int64_t tile_outputs() const { return tile_rows() * tiling_.points().step(2); }
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
    const Points& points = tiling_.points();
    const std::int64_t length = block.depth_tiles * points.step(2), n = std::min(g.depth, length) * g.channels;
    std::int64_t row_size = length * g.channels;
    if (row_size % (16 * line) == 0) row_size += line;  // to use different sets of L1
    const std::int64_t first = before * (block.tiles() * tile_outputs() + block.runs() * tile_rows() * line) +
                               (run - block.run_begin) * tile_rows() * row_size;
    for (std::int64_t h = 0; h < points.step(0); ++h)
      for (std::int64_t w = 0; w < points.step(1); ++w) {
        if (g.y[h][w] == nullptr) continue;
        T* const in_l2 = rows_.data() + first + (h * points.step(1) + w) * row_size;
        f(g.y[h][w], buffered_ ? in_l2 : g.y[h][w], n);
      }
  }

  const Tiling& tiling_;
  const ConcatView<T>& y_;
  bool stream_, buffered_;
  memory::Scratch<T> rows_;
};

}  // namespace vg::kernels::winograd
