// How a Winograd convolution is divided into blocks of tiles. Internal to framework/kernels.
//
// A tile has 2 outputs along each axis with three taps (or five: subkernels.hpp) and 1 along the others. Long tiles
// (f4_depth) have 4 along D, wide tiles (f4_complex) 4 along all axes; along H and W the last wide tile may be a
// remainder tile with 2 outputs (EdgeRegion). Adjacent tiles along D form a run. A block consists of consecutive runs
// with about `tiles` tiles, and its transformed values stay in L2 until they are multiplied. Runs are ordered by
// sample, then by strip along W, then by H. So consecutive blocks move along H, and the planes that they share are
// still in L2. In small volumes a block also extends, in the same order, across H and samples.
//
// A kernel dilated by R along an axis is R dense kernels: outputs r, r + R ... of phase r read inputs r - pad + k R,
// that is every R-th input from (r - pad) mod R on, and no input of another phase. Phases are tiled like further
// samples. Phases along D share memory pages and, with few channels, cache lines. So they follow each other before the
// next step along H.
#pragma once

#include <cstdint>

#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/kernels/common/problem.hpp"
#include "voxgrad/framework/kernels/winograd/subkernels.hpp"
#include "voxgrad/framework/kernels/winograd/transforms/table.hpp"

namespace vg::kernels::winograd {

/// Outputs per tile: f2 has two along each axis with 3 or 5 taps, f4_depth four along D if D has three taps, and
/// f4_complex four along every axis if each has three taps.
enum class WinogradTile { f2, f4_depth, f4_complex };

/// The points along each axis, and how they are divided into slices and stages. Slices are processed one after the
/// other. A slice is one point along H, and a stage is one slice. For wide tiles a slice is one PointPair along H and
/// one along W, and a stage is three slices or all nine; the outputs of a stage are summed together (complex-inl.hpp).
struct Points {
  Points(const Conv3dProblem& p, WinogradTile tiles);

  int along[3];
  int stage_slices;  ///< slices per stage
  bool has_long_tiles() const { return along[2] == 6 && along[0] != 6; }
  bool has_wide_tiles() const { return along[0] == 6; }

  int slices() const { return has_wide_tiles() ? wide::slices : along[0]; }
  int slices_per_stage() const { return stage_slices; }
  /// The slices per stage of blocks of remainder tiles, which omit slices.
  int remainder_slices_per_stage() const { return has_wide_tiles() ? wide::slices_per_stage : stage_slices; }
  /// The same points with all slices in one stage; for wide tiles only.
  Points at_once() const {
    Points all = *this;
    all.stage_slices = slices();
    return all;
  }
  /// Number of points in the slices [first, first + count).
  int points(int first, int count) const {
    if (!has_wide_tiles()) return count * along[1] * along[2];
    int n = 0;
    for (int slice = first; slice < first + count; ++slice) n += wide::points_of(slice);
    return n;
  }
  /// Number of points in the slices [0, slice).
  int before(int slice) const { return points(0, slice); }
  int all() const { return points(0, slices()); }
  /// The largest number of points that `count` consecutive slices of a stage have.
  int most(int count) const { return points(slices() - count, count); }
  /// The planes (a bit mask of InputTransformArgs::rows) of one slice to prefetch during the products of a stage:
  /// planes of this block (`now`) or of the next one. For f2 and long tiles slices 0 and 2 prefetch slices 1 and 3 of
  /// the next block, which contain all planes that it does not share with this block. The stages of wide tiles are
  /// long: each prefetches the planes of the next stage that it does not read itself.
  struct PrefetchPlan {
    int slice;
    unsigned planes;
    bool now;
  };
  PrefetchPlan prefetch_plan(int slice, bool is_last) const {
    if (!has_wide_tiles()) return {slice + 1 < slices() ? slice + 1 : slice, slice % 2 == 0 ? 0b11U : 0U, false};
    if (is_last) return {0, stage_slices == slices() ? 0b111100U : 0b011110U, false};
    return slice == 0 ? PrefetchPlan{3, 0b100001, true} : PrefetchPlan{6, 0b01100, true};
  }
  /// Outputs of a tile along an axis.
  std::int64_t step(int axis) const { return along[axis] == 1 ? 1 : along[axis] - 2; }
};

/// Number of tiles of a problem, including those after the end of its shorter phases.
std::int64_t tiles_of(const Conv3dProblem& p, const Points& points);
/// Number of points of all tiles that are multiplied; remainder tiles have fewer (Tiling::EdgeRegion).
std::int64_t points_of_tiles(const Conv3dProblem& p, const Points& points);

class Tiling {
 public:
  Tiling(const Conv3dProblem& p, const Points& points, std::int64_t tiles);

  const Points& points() const { return points_; }
  int slices() const { return points_.slices(); }
  /// Number of all tiles.
  std::int64_t tiles() const { return tiles_of(p_, points_); }

  std::int64_t blocks() const { return blocks_; }
  std::int64_t most_tiles() const { return runs_ * depth_; }
  /// The most input tiles of a block. Subkernels that differ along H or W have input tiles of their own, and a run has
  /// parts().halo() further ones after its end.
  std::int64_t most_input_tiles() const { return parts_.rows() * runs_ * (depth_ + parts_.halo()); }
  const SubKernels& parts() const { return parts_; }

  /// The position of a run.
  struct TileOrigin {
    std::int64_t sample, h, w;  // first output of the first tile
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
  /// How many of the slices [slice, slice + slices) of a stage the block has: fewer, or none, for remainder tiles.
  int slices_of(const Block& b, int slice, int slices) const;
  /// The slices per stage of block b.
  int slices_per_stage(const Block& b) const {
    return regions_[b.region].is_whole() ? points_.slices_per_stage() : points_.remainder_slices_per_stage();
  }
  bool is_whole(const Block& b) const { return regions_[b.region].is_whole(); }
  /// Whether the stage that begins with this slice completes the outputs.
  bool is_last(const Block& b, int slice) const {
    const int of = slices_per_stage(b);
    return slice + of >= slices() || slices_of(b, slice + of, of) == 0;
  }
  std::int64_t most_runs() const { return runs_; }
  /// Whether output rows, whose voxels have `voxel` bytes, lie at such distances that all of them map to a few sets of
  /// L1. False for a kernel that is dilated along D, whose rows are not contiguous.
  bool rows_share_sets(std::int64_t voxel) const { return dilation_[2] == 1 && p_.out_size[2] * voxel % 2048 == 0; }

  /// The transform arguments of a run (run_begin <= run < run_end) in one slice, for x or y with `channels` channels.
  /// The caller sets `from`, `to`, their strides and, in a data pass, `slices`. The rows are those of the slice's
  /// stage. The inputs are those of the subkernels with index part_h along H and part_w along W, and continue after the
  /// run's end.
  template <class T>
  InputTransformArgs<T> input(const Block& b, std::int64_t run, int slice, const T* x, std::int64_t channels,
                              std::int64_t part_h = 0, std::int64_t part_w = 0) const;
  /// Like input(), with every row that the outputs of the tiles read, for all subkernels and stages.
  template <class T>
  InputTransformArgs<T> all_inputs(const Block& b, std::int64_t run, const T* x, std::int64_t channels) const;
  template <class T>
  InputTransformArgs<T> gradient(const Block& b, std::int64_t run, int slice, const T* dy) const;
  template <class T>
  OutputTransformArgs<T> output(const Block& b, std::int64_t run, int slice, T* y, std::int64_t channels) const;

 private:
  friend class BlockIterator;
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
  /// The inputs of a run; take(args, row) sets the rows of args, where row(plane, r) returns the address of one row.
  template <class T, class Take>
  InputTransformArgs<T> inputs_by(const Block& b, std::int64_t run, const T* x, std::int64_t channels,
                                  const Take& take) const;
  TileOrigin origin_of(int region, std::int64_t run) const;
  TileOrigin origin_of(const Block& b, std::int64_t run) const {
    return b.origins != nullptr ? b.origins[run - b.run_begin] : origin_of(b.region, run);
  }

  Conv3dProblem p_;
  SubKernels parts_;
  Points points_;
  std::int64_t step_[3], tiles_[3];       // outputs per tile; tiles of the longest phase
  std::int64_t dilation_[3], phases_[3];  // phases that have outputs
  bool ends_in_remainder_[2];             // along H, W
  std::int64_t depth_, depth_parts_;      // most tiles per run
  std::int64_t runs_;                     // per block
  EdgeRegion regions_[4];
  int region_count_ = 0;
  std::int64_t blocks_ = 0;  // of all regions
};

/// Iterates over consecutive blocks; each is available together with the next one. The origin of a run is computed
/// once, because every slice of a block needs it, and so does the prefetching before that.
class BlockIterator {
 public:
  BlockIterator(const Tiling& tiling, std::int64_t begin, std::int64_t end);
  bool done() const { return at_ >= end_; }
  void step();
  const Tiling::Block& block() const { return now_; }
  /// The next block; null at the last one.
  const Tiling::Block* next() const { return at_ + 1 < end_ ? &next_ : nullptr; }

 private:
  Tiling::Block placed(std::int64_t index);

  const Tiling& tiling_;
  std::int64_t at_, end_;
  memory::Scratch<Tiling::TileOrigin> origins_;  // of both blocks
  Tiling::Block now_{}, next_{};
};

}  // namespace vg::kernels::winograd
