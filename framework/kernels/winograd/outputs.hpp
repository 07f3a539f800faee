// Where a block's outputs are added up, slice by slice: in the volume, or, where that is too large for the caches, in
// L2, from where whole rows go past them. Memory is then written without being read first. So they are where the 16
// rows of a wide tile would share a few sets of L1: they take 2.5 times as long there. An epilogue gets the rows before
// they go. Internal.
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
  /// `stream`: as should_stream of each tensor says; the kernel is not dilated along D. Several tensors have whole
  /// vectors of channels each.
  BlockOutputs(const Tiling& tiling, std::int64_t channels, const ConcatView<T>& y, bool stream)
      : tiling_(tiling),
        y_(y),
        stream_(stream),
        buffered_(stream || (tiling.points().has_wide_tiles() &&
                             tiling.rows_share_sets(channels * static_cast<std::int64_t>(sizeof(T))))),
        rows_(buffered_ ? (tiling.most_tiles() * tile_outputs() + tiling.most_runs() * tile_rows() * line) * channels
                        : 0) {}

  /// Whether the outputs are kept until `finish`.
  bool is_buffered() const { return buffered_; }

  /// f(side, run, channels before its first) for each run and tensor; only `from`, its strides and `levels` are left
  /// to the caller.
  template <class F>
  void each_side(const Tiling::Block& block, int slice, const F& f) {
    each_tensor(block, slice, [&](OutputTransformArgs<T>& g, std::int64_t run, std::int64_t before) {
      if (buffered_) each_row(g, block, run, before, [](T*& y, T* row, std::int64_t) { y = row; });
      f(g, run, before);
    });
  }
  /// After the last slice; row(first voxel, voxels, their outputs) may change these. It is given rows of the one tensor
  /// where the kernel is not dilated along D.
  template <class Row>
  void finish(const Tiling::Block& block, const WinogradTable<T>& table, const Row& row) {
    T *y = nullptr, *in_cache = nullptr;  // rows that lie side by side, as far as they are known
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
  /// Before others read the volume.
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
  /// f(row of the volume, where its outputs are, its elements): in L2, behind `before` channels of other tensors, or in
  /// place.
  template <class F>
  void each_row(OutputTransformArgs<T>& g, const Tiling::Block& block, std::int64_t run, std::int64_t before,
                const F& f) {
    const Points& points = tiling_.points();
    const std::int64_t length = block.depth_tiles * points.step(2), n = std::min(g.depth, length) * g.channels;
    std::int64_t row_size = length * g.channels;
    if (row_size % (16 * line) == 0) row_size += line;  // other sets of L1
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
