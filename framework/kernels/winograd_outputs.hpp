// Where a block's outputs are added up, slice by slice: in the volume, or, where that is too large for the caches, in
// L2, from where whole rows go past them. Memory is then written without being read first. Internal.
#pragma once

#include <algorithm>
#include <cstdint>

#include "framework/kernels/joined.hpp"
#include "framework/kernels/winograd_tiling.hpp"
#include "framework/memory.hpp"

namespace vg::kernels::winograd {

template <class T>
class BlockOutputs {
 public:
  /// `stream`: as should_stream of each tensor says; the kernel is not dilated along D. Several tensors have whole
  /// vectors of channels each.
  BlockOutputs(const Tiling& tiling, std::int64_t channels, const Joined<T>& y, bool stream)
      : tiling_(tiling), y_(y), stream_(stream), rows_(stream ? tiling.most_tiles() * tile_outputs() * channels : 0) {}

  /// f(side, run, channels before its first) for each run and tensor; only `from`, its strides and `finite` are left
  /// to the caller.
  template <class F>
  void each_side(const Tiling::Block& block, int slice, const F& f) {
    each_tensor(block, slice, [&](WinogradScatter<T>& g, std::int64_t run, std::int64_t before) {
      if (stream_) each_row(g, block, run, before, [](T*& y, T* row, std::int64_t) { y = row; });
      f(g, run, before);
    });
  }
  /// After the last slice.
  void finish(const Tiling::Block& block, const WinogradTable<T>& table) {
    if (!stream_) return;
    each_tensor(block, 0, [&](WinogradScatter<T>& g, std::int64_t run, std::int64_t before) {
      each_row(g, block, run, before, [&](T* y, const T* row, std::int64_t n) { table.stream(n, row, y); });
    });
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
  template <class F>
  void each_tensor(const Tiling::Block& block, int slice, const F& f) const {
    each_part(y_, [&](T* y, std::int64_t channels, std::int64_t before) {
      for (std::int64_t run = block.run_begin; run < block.run_end; ++run) {
        WinogradScatter<T> g = tiling_.output(block, run, slice, y, channels);
        f(g, run, before);
      }
    });
  }
  /// f(row of the volume, the same in L2, its elements); `before` channels of other tensors lie in front in L2.
  template <class F>
  void each_row(WinogradScatter<T>& g, const Tiling::Block& block, std::int64_t run, std::int64_t before, const F& f) {
    const Points& points = tiling_.points();
    const std::int64_t length = block.depth_tiles * points.step(2), n = std::min(g.depth, length) * g.channels;
    T* row = rows_.data() + before * block.tiles() * tile_outputs() +
             (run - block.run_begin) * block.depth_tiles * tile_outputs() * g.channels;
    for (std::int64_t h = 0; h < points.step(0); ++h)
      for (std::int64_t w = 0; w < points.step(1); ++w, row += length * g.channels)
        if (g.y[h][w] != nullptr) f(g.y[h][w], row, n);
  }

  const Tiling& tiling_;
  const Joined<T>& y_;
  bool stream_;
  memory::Scratch<T> rows_;
};

}  // namespace vg::kernels::winograd
