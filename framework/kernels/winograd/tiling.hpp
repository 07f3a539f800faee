// How a Winograd convolution is cut into blocks of tiles. Internal to framework/kernels.
//
// A tile is 2 outputs wide in each dimension with three taps (or five: subkernels.hpp), 1 in the others; long tiles
// are 4 wide along D, wide ones in all three dimensions (the last one of H and W may be a short one of 2, or none:
// EdgeRegion). Tiles that are neighbours along D form runs; a block is some consecutive runs, about `tiles` tiles, whose
// transforms stay in L2 between the transforms and the products. Runs are ordered by sample, then by strips along W,
// then by H: so consecutive blocks move along H, and the planes that they share are still in L2. Small volumes share
// blocks, across H and samples, by the same order.
//
// A kernel dilated by R along an axis is R dense ones: outputs r, r + R ... of phase r meet inputs r - pad + k R, so
// every R-th from (r - pad) mod R on, and those of no other phase. Phases are tiled like further samples. The phases
// along D share cache lines where channels are few, and pages: they follow each other before the next step along H.
#pragma once

#include <cstdint>

#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/kernels/common/problem.hpp"
#include "voxgrad/framework/kernels/winograd/subkernels.hpp"
#include "voxgrad/framework/kernels/winograd/transforms/table.hpp"
#include "voxgrad/framework/kernels/winograd/transforms/wide_slices.hpp"

namespace vg::kernels::winograd {

/// Outputs of a tile: two along each axis of three taps, or four along D, or four along all axes if each has three.
enum class WinogradTile { f2, f4_depth, f4_complex };

/// Points along each axis, and how they are cut into slices, which are worked on one after the other. A slice is a
/// point along H, and its outputs are added up by themselves. Of wide tiles it is a pair along H and one along W, and
/// three slices are a pass, or all: their outputs are added up together (complex-inl.hpp).
struct Points {
  Points(const Conv3dProblem& p, WinogradTile tiles);

  int along[3];
  int pass;  ///< slices of a pass
  bool has_long_tiles() const { return along[2] == 6 && along[0] != 6; }
  bool has_wide_tiles() const { return along[0] == 6; }

  int slices() const { return has_wide_tiles() ? wide::slices : along[0]; }
  int slices_per_stage() const { return pass; }
  /// Of blocks that leave slices out.
  int short_slices_per_stage() const { return has_wide_tiles() ? wide::slices_per_stage : pass; }
  /// All slices in one pass: of wide tiles only.
  Points at_once() const {
    Points all = *this;
    all.pass = slices();
    return all;
  }
  /// Points of `count` slices, from `first` on.
  int points(int first, int count) const {
    if (!has_wide_tiles()) return count * along[1] * along[2];
    int n = 0;
    for (int slice = first; slice < first + count; ++slice) n += wide::points_of(slice);
    return n;
  }
  /// Of all slices before.
  int before(int slice) const { return points(0, slice); }
  int all() const { return points(0, slices()); }
  /// The most of any `count` slices of a pass.
  int most(int count) const { return points(slices() - count, count); }
  /// What is prefetched during a pass's products: planes, by bits, of a slice of the next block, or of this one. Of the
  /// next block those that this one does not meet, in slices 1 and 3. The passes of wide tiles are long: each is asked
  /// for by the one before, but for the planes that both meet.
  struct PrefetchPlan {
    int slice;
    unsigned planes;
    bool now;
  };
  PrefetchPlan prefetch_plan(int slice, bool is_last) const {
    if (!has_wide_tiles()) return {slice + 1 < slices() ? slice + 1 : slice, slice % 2 == 0 ? 0b11U : 0U, false};
    if (is_last) return {0, pass == slices() ? 0b111100U : 0b011110U, false};
    return slice == 0 ? PrefetchPlan{3, 0b100001, true} : PrefetchPlan{6, 0b01100, true};
  }
  /// Outputs of a tile.
  std::int64_t step(int axis) const { return along[axis] == 1 ? 1 : along[axis] - 2; }
};

/// All tiles of a problem, those beyond the end of its shorter phases included.
std::int64_t tiles_of(const Conv3dProblem& p, const Points& points);
/// Points of all tiles that are multiplied: short tiles (Tiling) have fewer.
std::int64_t points_of_tiles(const Conv3dProblem& p, const Points& points);

class Tiling {
 public:
  Tiling(const Conv3dProblem& p, const Points& points, std::int64_t tiles);

  const Points& points() const { return points_; }
  int slices() const { return points_.slices(); }
  /// All tiles.
  std::int64_t tiles() const { return tiles_of(p_, points_); }

  std::int64_t blocks() const { return blocks_; }
  std::int64_t most_tiles() const { return runs_ * depth_; }
  /// Of the inputs of a block: one for each part of the kernel that meets other rows, and those beyond a run's end.
  std::int64_t most_input_tiles() const { return parts_.rows() * runs_ * (depth_ + parts_.halo()); }
  const SubKernels& parts() const { return parts_; }

  /// Where a run is.
  struct TileOrigin {
    std::int64_t sample, h, w;  // the first tile's first output
    std::int64_t phase;         // along D
  };
  /// Runs of one region, counted in it.
  struct Block {
    std::int64_t run_begin, run_end, depth_begin, depth_tiles;
    int region = 0;
    const TileOrigin* origins = nullptr;  ///< of its runs, where they are known
    std::int64_t runs() const { return run_end - run_begin; }
    std::int64_t tiles() const { return runs() * depth_tiles; }
  };
  Block block(std::int64_t index) const;
  /// Slices of a pass over so many: fewer, or none, of short tiles.
  int slices_of(const Block& b, int slice, int slices) const;
  /// Those of a whole block's passes, of this one's.
  int slices_per_stage(const Block& b) const {
    return regions_[b.region].is_whole() ? points_.slices_per_stage() : points_.short_slices_per_stage();
  }
  bool is_whole(const Block& b) const { return regions_[b.region].is_whole(); }
  /// Whether the outputs are all in after the pass that begins with this slice.
  bool is_last(const Block& b, int slice) const {
    const int of = slices_per_stage(b);
    return slice + of >= slices() || slices_of(b, slice + of, of) == 0;
  }
  std::int64_t most_runs() const { return runs_; }
  /// Whether rows of outputs, of voxels of so many bytes, lie so far apart that few sets of L1 hold them all; known of
  /// whole rows only.
  bool rows_share_sets(std::int64_t voxel) const { return dilation_[2] == 1 && p_.out_size[2] * voxel % 2048 == 0; }

  /// The sides of a run (run_begin <= run < run_end) in one slice, of x or y with so many channels. `from`, `to`,
  /// strides and a data pass's `slices` are left to the caller. The rows are those of the slice's pass. The inputs are
  /// those of the parts that are part_h-th along H and part_w-th along W, and go on beyond the run's end.
  template <class T>
  InputTransformArgs<T> input(const Block& b, std::int64_t run, int slice, const T* x, std::int64_t channels,
                              std::int64_t part_h = 0, std::int64_t part_w = 0) const;
  /// Those of all parts: each row that the tiles' outputs meet, where input() has the rows of a pass.
  template <class T>
  InputTransformArgs<T> all_inputs(const Block& b, std::int64_t run, const T* x, std::int64_t channels) const;
  template <class T>
  InputTransformArgs<T> gradient(const Block& b, std::int64_t run, int slice, const T* dy) const;
  template <class T>
  OutputTransformArgs<T> output(const Block& b, std::int64_t run, int slice, T* y, std::int64_t channels) const;

 private:
  friend class BlockIterator;
  /// Tiles alike. Where at most two outputs of an axis are left (H or W, not dilated), the last wide tile is a short
  /// one: F(2, 3) at 0, infinity, 1 and -1. It is a wide tile all the same, whose elements are (x0, x1, x2, x1, x2,
  /// x3) and whose outputs are (y0, -, -, y1): so its pair of complex points along the axis is zero, and the slices
  /// that have it are left out.
  struct EdgeRegion {
    bool is_short[2];                 // along H, W
    std::int64_t first[2], tiles[2];  // along H, W
    std::int64_t strip, runs, blocks;
    bool is_whole() const { return !is_short[0] && !is_short[1]; }
  };
  EdgeRegion region_of(bool short_h, bool short_w) const;
  /// A run's inputs; take(side, row(plane, r)) takes their rows.
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
  std::int64_t step_[3], tiles_[3];       // outputs of a tile; tiles of the longest phase
  std::int64_t dilation_[3], phases_[3];  // phases that have outputs
  bool ends_short_[2];                    // along H, W
  std::int64_t depth_, depth_parts_;      // most tiles of a run
  std::int64_t runs_;                     // of a block
  EdgeRegion regions_[4];
  int region_count_ = 0;
  std::int64_t blocks_ = 0;  // of all boxes
};

/// Consecutive blocks, each with the one after it. Places are found once a run: every slice of a block needs them, and
/// the prefetching before.
class BlockIterator {
 public:
  BlockIterator(const Tiling& tiling, std::int64_t begin, std::int64_t end);
  bool done() const { return at_ >= end_; }
  void step();
  const Tiling::Block& block() const { return now_; }
  /// Null for the last one.
  const Tiling::Block* next() const { return at_ + 1 < end_ ? &next_ : nullptr; }

 private:
  Tiling::Block placed(std::int64_t index);

  const Tiling& tiling_;
  std::int64_t at_, end_;
  memory::Scratch<Tiling::TileOrigin> origins_;  // of both
  Tiling::Block now_{}, next_{};
};

}  // namespace vg::kernels::winograd
