// The parts that data passes and backward-weights with stride 2 share (strided.cpp, strided_grad_weight.cpp): points
// and products, blocks of tiles, and the transform of a block. Internal.
#pragma once

#include <algorithm>
#include <cstdint>

#include "voxgrad/framework/kernels/common/cache.hpp"
#include "voxgrad/framework/kernels/common/driver.hpp"
#include "voxgrad/framework/kernels/winograd/prefetch.hpp"
#include "voxgrad/framework/kernels/winograd/transformed_layout.hpp"
#include "voxgrad/framework/kernels/winograd/transforms/table.hpp"

namespace vg::kernels::winograd {

using std::int64_t;

inline constexpr int x_points = 125, y_points = 27, w_points = 64, dilated_points = 64;

/// The products along an axis: product i multiplies point i of x by point w_of[i] of w and adds to point y_of[i] of y.
inline constexpr int w_of[5] = {0, 1, 2, 3, 3}, y_of[5] = {0, 1, 2, 0, 2};
/// With an input dilation, product i multiplies point input_of[i] of the input.
inline constexpr int input_of[5] = {0, 1, 2, 1, 3};

/// f(product, point of w, point of y, point of a dilated input) for all 125 products; the indices combine three axes.
template <class F>
void each_product(const F& f) {
  for (int h = 0; h < 5; ++h)
    for (int w = 0; w < 5; ++w)
      for (int d = 0; d < 5; ++d)
        f((h * 5 + w) * 5 + d, (w_of[h] * 4 + w_of[w]) * 4 + w_of[d], (y_of[h] * 3 + y_of[w]) * 3 + y_of[d],
          (input_of[h] * 4 + input_of[w]) * 4 + input_of[d]);
}

inline bool is_dilated(const Conv3dProblem& p) { return p.lhs_dilation[0] == 2; }

/// Outputs per tile along an axis.
inline int64_t tile_outputs(const Conv3dProblem& p) { return is_dilated(p) ? 4 : 2; }

/// The number of positions before output 0 at which the first tile begins. A dilated tile must begin with an output
/// whose first tap falls on an input, not on an inserted zero.
inline int64_t shift_of(const Conv3dProblem& p, int axis) { return is_dilated(p) ? p.pad[axis] & 1 : 0; }

inline int64_t tiles_along(const Conv3dProblem& p, int axis) {
  return ceil_div(p.out_size[axis] + shift_of(p, axis), tile_outputs(p));
}

/// Divides the tiles into blocks of runs along D, ordered by sample, H and W.
class StridedTiling {
 public:
  StridedTiling(const Conv3dProblem& p, int64_t tiles) : p_(p), outputs_(tile_outputs(p)) {
    for (int a = 0; a < 3; ++a) tiles_[a] = tiles_along(p, a);
    depth_parts_ = ceil_div(tiles_[2], tiles);
    depth_ = ceil_div(tiles_[2], depth_parts_);
    runs_ = std::max<int64_t>(1, tiles / depth_);
    run_count_ = p.batch * tiles_[0] * tiles_[1];
  }
  struct Block {
    int64_t run_begin, run_end, depth_begin, depth_tiles;
    int64_t tiles() const { return (run_end - run_begin) * depth_tiles; }
  };
  int64_t blocks() const { return ceil_div(run_count_, runs_) * depth_parts_; }
  int64_t most_tiles() const { return runs_ * depth_; }
  Block block(int64_t index) const {
    const int64_t part = index % depth_parts_, first = index / depth_parts_ * runs_;
    const int64_t begin = tiles_[2] * part / depth_parts_, end = tiles_[2] * (part + 1) / depth_parts_;
    return {first, std::min(first + runs_, run_count_), begin, end - begin};
  }

  /// The transform arguments of a run; the caller sets `to`, `from` and their strides.
  template <class T>
  InputTransformArgs<T> input(const Block& b, int64_t run, const T* x) const {
    const int64_t step = is_dilated(p_) ? 2 : 4;
    int64_t first[3];
    for (int a = 0; a < 3; ++a) first[a] = is_dilated(p_) ? -(p_.pad[a] + shift_of(p_, a)) / 2 : -p_.pad[a];
    return side(b, run, x, is_dilated(p_) ? 3 : 5, step, first, p_.in_size, p_.in_channels);
  }
  template <class T>
  InputTransformArgs<T> gradient(const Block& b, int64_t run, const T* dy) const {
    const int64_t first[3] = {0, 0, 0};
    return side(b, run, dy, 2, 2, first, p_.out_size, p_.out_channels);
  }
  template <class T>
  OutputTransformArgs<T> output(const Block& b, int64_t run, T* y) const {
    const TileOrigin at = place(run);
    OutputTransformArgs<T> g{};
    g.tiles = b.depth_tiles;
    g.channels = g.stride = p_.out_channels;
    g.depth = p_.out_size[2];
    g.first = b.depth_begin * outputs_ - shift_of(p_, 2);
    for (int64_t i = 0; i < outputs_; ++i)
      for (int64_t j = 0; j < outputs_; ++j) {
        const int64_t h = at.h * outputs_ - shift_of(p_, 0) + i, w = at.w * outputs_ - shift_of(p_, 1) + j;
        g.y[i][j] = row(y, at.sample, h, w, p_.out_size, p_.out_channels);
      }
    return g;
  }

 private:
  struct TileOrigin {
    int64_t sample, h, w;  // in tiles
  };
  TileOrigin place(int64_t run) const {
    return {run / (tiles_[0] * tiles_[1]), run / tiles_[1] % tiles_[0], run % tiles_[1]};
  }
  /// The address of a row; null outside of the volume.
  template <class T>
  static T* row(T* volume, int64_t sample, int64_t h, int64_t w, const int64_t (&size)[3], int64_t channels) {
    if (h < 0 || h >= size[0] || w < 0 || w >= size[1]) return nullptr;
    return volume + ((sample * size[0] + h) * size[1] + w) * size[2] * channels;
  }
  template <class T>
  InputTransformArgs<T> side(const Block& b, int64_t run, const T* volume, int rows, int64_t step,
                             const int64_t (&first)[3], const int64_t (&size)[3], int64_t channels) const {
    const TileOrigin at = place(run);
    InputTransformArgs<T> g{};
    for (int h = 0; h < rows; ++h)
      for (int w = 0; w < rows; ++w)
        g.rows[h][w] = row(volume, at.sample, at.h * step + first[0] + h, at.w * step + first[1] + w, size, channels);
    g.depth = size[2];
    g.first = b.depth_begin * step + first[2];
    g.tiles = b.depth_tiles;
    g.channels = g.stride = channels;
    return g;
  }

  Conv3dProblem p_;
  int64_t outputs_, tiles_[3], depth_parts_, depth_, runs_, run_count_;
};

/// Tiles per block: the transformed inputs and outputs fill less than half of L2.
inline int64_t strided_block_tiles(const Conv3dProblem& p, std::size_t element) {
  const int64_t in = is_dilated(p) ? dilated_points : x_points, out = is_dilated(p) ? x_points : y_points;
  const int64_t bytes = (in * p.in_channels + out * p.out_channels) * static_cast<int64_t>(element);
  return std::clamp<int64_t>(cache::winograd_strided_block / bytes, 8, 32);
}

/// Where the transformed values of a block are stored.
template <class T>
struct StridedSide {
  const TransformedLayout& layout;
  T* points;
};

/// Transforms a block with `kernel`; run_of(run) returns the arguments of a run.
template <class T, class Run>
void strided_to_points(const StridedTiling::Block& b, const StridedSide<T>& to,
                       void (*kernel)(const InputTransformArgs<T>&), const Run& run_of) {
  for (int64_t run = b.run_begin; run < b.run_end; ++run) {
    InputTransformArgs<T> g = run_of(run);
    g.to = to.points + (run - b.run_begin) * b.depth_tiles * to.layout.ld;
    g.ld = to.layout.ld;
    g.point_stride = to.layout.point_stride;
    kernel(g);
  }
}

/// Prefetches the inputs of the next block during the products of the current one.
template <class T>
class StridedAhead {
 public:
  StridedAhead(const Conv3dProblem& p, const StridedTiling& tiling)
      : tiling_(tiling), step_(is_dilated(p) ? 2 : 4), prefetch_(Points(p, WinogradTile::f2)) {}
  void input(int64_t next, const T* x) {
    const auto b = tiling_.block(next);
    for (int64_t run = b.run_begin; run < b.run_end; ++run) prefetch_.add(tiling_.input(b, run, x), step_, 0b111111);
  }
  void gradient(int64_t next, const T* dy) {
    const auto b = tiling_.block(next);
    for (int64_t run = b.run_begin; run < b.run_end; ++run) prefetch_.add(tiling_.gradient(b, run, dy), 2, 0b111111);
  }
  void run(int part, int parts) { prefetch_.share(part, parts).run(); }
  void clear() { prefetch_.clear(); }

 private:
  const StridedTiling& tiling_;
  int64_t step_;
  Prefetch prefetch_;
};

}  // namespace vg::kernels::winograd
