// Tiles by point: where they are kept, and how they get there. Internal.
#pragma once

#include <cstdint>

#include "framework/kernels/winograd_tiling.hpp"
#include "framework/kernels/winograd_weights.hpp"
#include "framework/memory.hpp"

namespace vg::kernels::winograd {

/// What a block's points are kept in: point p, tile t at p * point_stride + t * ld. The odd line a point keeps the
/// points out of each other's cache sets, and an odd line a tile does it for the tiles where there are many channels
/// (512: the products of grad_weight at 4^3 take half the time).
struct PointLayout {
  std::int64_t ld, point_stride;
  PointLayout(std::int64_t channels, std::int64_t tiles, std::int64_t lanes)
      : ld(round_up(channels, lanes) + (channels >= 16 * lanes ? lanes : 0)), point_stride(tiles * ld + lanes) {}
};

/// 0, ld, 2 ld ...
class Offsets {
 public:
  Offsets(std::int64_t n, std::int64_t ld) : offsets_(n) {
    for (std::int64_t i = 0; i < n; ++i) offsets_.data()[i] = i * ld;
  }
  const std::int64_t* data() { return offsets_.data(); }

 private:
  memory::Scratch<std::int64_t> offsets_;
};

/// One slice of a block to points, by `kernel` and the sides that `side(run)` gives.
template <class T, class Kernel, class Side>
void to_points(const Tiling::Block& b, const PointLayout& layout, T* to, const Kernel& kernel, const Side& side) {
  for (std::int64_t run = b.run_begin; run < b.run_end; ++run) {
    WinogradGather<T> g = side(run);
    g.to = to + (run - b.run_begin) * b.depth_tiles * layout.ld;
    g.ld = layout.ld;
    g.point_stride = layout.point_stride;
    kernel(g);
  }
}

}  // namespace vg::kernels::winograd
