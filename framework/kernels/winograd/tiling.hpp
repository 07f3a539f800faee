// How a Winograd convolution is divided into blocks of tiles. Internal to framework/kernels.
//
// Adjacent tiles along D form a run. A block consists of consecutive runs with about `tiles` tiles, and its transformed
// values stay in L2 until they are multiplied. Runs are ordered by sample, then by strip along W, then by H. So
// consecutive blocks move along H, and the planes that they share are still in L2. In small volumes a block also
// extends, in the same order, across H and samples. With stride 2 a strip is a whole row along W. Along H and W the
// last wide tile may be a remainder tile with 2 outputs (EdgeRegion).
//
// A kernel dilated by R along an axis is R dense kernels: outputs r, r + R ... of phase r read inputs r - pad + k R,
// that is every R-th input from (r - pad) mod R on, and no input of another phase. Phases are tiled like further
// samples. Phases along D share memory pages and, with few channels, cache lines. So they follow each other before the
// next step along H.
#pragma once

#include <cstdint>

#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/kernels/common/problem.hpp"
#include "voxgrad/framework/kernels/winograd/scheme.hpp"

namespace vg::kernels::winograd {

/// Number of tiles of a problem, including those after the end of its shorter phases.
std::int64_t tiles_of(const Conv3dProblem& p, const Scheme& scheme);
/// Number of points of all tiles that are multiplied; remainder tiles have fewer (Tiling::EdgeRegion).
std::int64_t points_of_tiles(const Conv3dProblem& p, const Scheme& scheme);

class Tiling {
 public:
  Tiling(const Conv3dProblem& p, const Scheme& scheme, std::int64_t tiles);

  const Scheme& scheme() const { return scheme_; }
  /// Number of all tiles.
  std::int64_t tiles() const { return tiles_of(p_, scheme_); }

  std::int64_t blocks() const { return blocks_; }
  std::int64_t most_runs() const { return runs_; }
  std::int64_t most_tiles() const { return runs_ * depth_; }
  /// The most input tiles of a block. Subkernels that differ along H or W have input tiles of their own, and a run has
  /// scheme().halo() further ones after its end.
  std::int64_t most_input_tiles() const { return scheme_.subkernel_rows() * runs_ * (depth_ + scheme_.halo()); }

  /// The position of a run.
  struct TileOrigin {
    std::int64_t sample, h, w;  // first output of the first tile, which may be outside with input dilation 2
    std::int64_t phase;         // along D
  };
  /// Consecutive runs [run_begin, run_end), counted within one region.
  struct Block {
    std::int64_t run_begin, run_end, depth_begin, depth_tiles;
    int region = 0;
    const TileOrigin* origins = nullptr;  ///< of its runs; null if not computed yet
    std::int64_t runs() const { return run_end - run_begin; }
    std::int64_t tiles() const { return runs() * depth_tiles; }
  };
  Block block(std::int64_t index) const;
  /// f(block, next block) for the blocks [begin, end); at the last one `next` is null. The origin of a run is computed
  /// once, because every slice of a block needs it, and so does the prefetching before that.
  template <class F>
  void each_block(std::int64_t begin, std::int64_t end, const F& f) const {
    memory::Scratch<TileOrigin> origins(2 * runs_);  // of both blocks
    const auto placed = [&](std::int64_t index) {
      Block b = block(index);
      TileOrigin* const of_runs = origins.data() + index % 2 * runs_;
      for (std::int64_t run = b.run_begin; run < b.run_end; ++run) of_runs[run - b.run_begin] = origin_of(b, run);
      b.origins = of_runs;
      return b;
    };
    Block now{}, next{};
    if (begin < end) now = placed(begin);
    for (std::int64_t index = begin; index < end; ++index, now = next) {
      if (index + 1 < end) next = placed(index + 1);
      f(now, index + 1 < end ? &next : nullptr);
    }
  }
  /// How many of the slices [slice, slice + slices) of a stage the block has: fewer, or none, for remainder tiles.
  int slices_of(const Block& b, int slice, int slices) const;
  /// The slices per stage of block b.
  int stage_slices(const Block& b) const {
    return regions_[b.region].is_whole() ? scheme_.stage_slices : scheme_.remainder_stage_slices();
  }
  /// Whether the stage that begins with this slice completes the outputs.
  bool is_last(const Block& b, int slice) const {
    const int of = stage_slices(b);
    return slice + of >= scheme_.slices() || slices_of(b, slice + of, of) == 0;
  }
  /// Whether output rows, whose voxels have `voxel` bytes, lie at such distances that all of them map to a few sets of
  /// L1. False for a kernel that is dilated along D, whose rows are not contiguous.
  bool rows_share_sets(std::int64_t voxel) const { return dilation_[2] == 1 && p_.out_size[2] * voxel % 2048 == 0; }

  /// The transform arguments of a run (run_begin <= run < run_end) in one slice, for x or y with `channels` channels.
  /// The caller sets `from`, `to`, their strides and, in a data pass, `slices`. The rows are those of the slice's
  /// stage. The inputs are those of the subkernels with index sub_h along H and sub_w along W, and continue after the
  /// run's end.
  template <class T>
  InputTransformArgs<T> input(const Block& b, std::int64_t run, int slice, const T* x, std::int64_t channels,
                              std::int64_t sub_h = 0, std::int64_t sub_w = 0) const;
  /// Like input(), with every row that the outputs of the tiles read, for all subkernels and stages.
  template <class T>
  InputTransformArgs<T> all_inputs(const Block& b, std::int64_t run, const T* x, std::int64_t channels) const;
  template <class T>
  InputTransformArgs<T> gradient(const Block& b, std::int64_t run, int slice, const T* dy) const;
  template <class T>
  OutputTransformArgs<T> output(const Block& b, std::int64_t run, int slice, T* y, std::int64_t channels) const;

 private:
  /// The tiles of one kind. If one or two outputs are left along H or W, and the axis is not dilated, the last wide
  /// tile is a remainder tile, F(2, 3) at 0, infinity, 1 and -1. It is processed as a wide tile with the elements (x0,
  /// x1, x2, x1, x2, x3) and the outputs (y0, -, -, y1). So its values at PointPair::plus_minus_i along that axis are
  /// zero, and the slices with this pair are omitted.
  struct EdgeRegion {
    bool is_remainder[2];             // along H, W
    std::int64_t first[2], tiles[2];  // along H, W
    std::int64_t strip, runs, blocks;
    bool is_whole() const { return !is_remainder[0] && !is_remainder[1]; }
  };
  EdgeRegion region_of(bool remainder_h, bool remainder_w) const;
  TileOrigin origin_of(const Block& b, std::int64_t run) const;
  /// The inputs of a run; take(args, row) sets the rows of args, where row(plane, r) returns the address of one row.
  template <class T, class Take>
  InputTransformArgs<T> inputs_by(const Block& b, std::int64_t run, const T* x, std::int64_t channels,
                                  const Take& take) const;

  Conv3dProblem p_;
  Scheme scheme_;
  std::int64_t tiles_[3];                            // of the longest phase
  std::int64_t dilation_[3], phases_[3], shift_[3];  // phases that have outputs
  bool ends_in_remainder_[2];                        // along H, W
  std::int64_t depth_, depth_parts_;                 // most tiles per run
  std::int64_t runs_;                                // per block
  EdgeRegion regions_[4];
  int region_count_ = 0;
  std::int64_t blocks_ = 0;  // of all regions
};

}  // namespace vg::kernels::winograd
