// Where a block's outputs are added up, slice by slice: in the volume, or, where that is too large for the caches, in
// L2, from where whole rows go past them. Memory is then written without being read first. Internal.
#pragma once

#include <algorithm>
#include <cstdint>

#include "framework/kernels/winograd_tiling.hpp"
#include "framework/memory.hpp"

namespace vg::kernels::winograd {

template <class T>
class BlockOutputs {
 public:
  /// `stream`: as should_stream of the volume says, whose kernel is not dilated along D.
  BlockOutputs(const Tiling& tiling, std::int64_t channels, T* y, bool stream)
      : tiling_(tiling),
        channels_(channels),
        y_(y),
        stream_(stream),
        rows_(stream ? tiling.most_tiles() * tile_outputs() * channels : 0) {}

  /// The side of a run; only `from` and its strides are left to the caller.
  WinogradScatter<T> side(const Tiling::Block& block, std::int64_t run, int slice) {
    WinogradScatter<T> g = tiling_.output(block, run, slice, y_);
    if (stream_) each_row(g, block, run, [](T*& y, T* row, std::int64_t) { y = row; });
    return g;
  }
  /// After the last slice.
  void finish(const Tiling::Block& block, const WinogradTable<T>& table) {
    for (std::int64_t run = block.run_begin; stream_ && run < block.run_end; ++run) {
      WinogradScatter<T> g = tiling_.output(block, run, 0, y_);
      each_row(g, block, run, [&](T* y, const T* row, std::int64_t n) { table.stream(n, row, y); });
    }
  }
  /// Before others read the volume.
  void end(const WinogradTable<T>& table) const {
    if (stream_) table.stream_end();
  }

 private:
  std::int64_t tile_outputs() const {
    const Points& points = tiling_.points();
    return points.step(0) * points.step(1) * points.step(2);
  }
  /// f(row of the volume, the same in L2, its elements)
  template <class F>
  void each_row(WinogradScatter<T>& g, const Tiling::Block& block, std::int64_t run, const F& f) {
    const Points& points = tiling_.points();
    const std::int64_t length = block.depth_tiles * points.step(2), n = std::min(g.depth, length) * channels_;
    T* row = rows_.data() + (run - block.run_begin) * block.depth_tiles * tile_outputs() * channels_;
    for (std::int64_t h = 0; h < points.step(0); ++h)
      for (std::int64_t w = 0; w < points.step(1); ++w, row += length * channels_)
        if (g.y[h][w] != nullptr) f(g.y[h][w], row, n);
  }

  const Tiling& tiling_;
  std::int64_t channels_;
  T* y_;
  bool stream_;
  memory::Scratch<T> rows_;
};

}  // namespace vg::kernels::winograd
