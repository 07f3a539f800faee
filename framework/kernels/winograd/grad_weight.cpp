// Backward-weights. A task computes some slices of one partial sum over blocks: it transforms input and gradient and
// adds one outer product per point and block (wgrad, or fused products), whose sums start from zero in each block. The
// inverse transform runs once, at the end.
#include <algorithm>

#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/base/threads.hpp"
#include "voxgrad/framework/kernels/common/cache.hpp"
#include "voxgrad/framework/kernels/common/driver.hpp"
#include "voxgrad/framework/kernels/common/kernel_table.hpp"
#include "voxgrad/framework/kernels/common/split_k.hpp"
#include "voxgrad/framework/kernels/direct/direct.hpp"
#include "voxgrad/framework/kernels/winograd/panel_loop.hpp"
#include "voxgrad/framework/kernels/winograd/prefetch.hpp"
#include "voxgrad/framework/kernels/winograd/strided.hpp"
#include "voxgrad/framework/kernels/winograd/sums.hpp"
#include "voxgrad/framework/kernels/winograd/tiling.hpp"
#include "voxgrad/framework/kernels/winograd/transformed_layout.hpp"
#include "voxgrad/framework/kernels/winograd/weights.hpp"
#include "voxgrad/framework/kernels/winograd/winograd.hpp"

namespace vg::kernels::winograd {

using std::int64_t;

namespace {

/// Tiles per block. The products of a block are added to sums in L2, so large blocks read and write these less often. A
/// float sum runs over the tiles of a block, then over the blocks of a partial sum, so problems with few tiles are more
/// accurate with small blocks. Wide tiles with few channels also use small blocks: there are then enough blocks for
/// several partial sums, which are cheap with few channels, and slices need not be divided among tasks (8 -> 16
/// channels at 8^3, a batch of 32: 0.54 -> 0.29 ms).
int64_t weight_block_tiles(const Conv3dProblem& p, const Points& points, std::size_t element) {
  const int64_t products = p.in_channels * p.out_channels, tiles = tiles_of(p, points);
  if (points.has_wide_tiles() && products <= 1024 && tiles >= 192)
    return std::clamp<int64_t>(tiles / (products <= 512 ? 32 : 16), products <= 256 ? 8 : 16, 32);
  const int64_t bytes =
      points.most(points.slices_per_stage()) * (p.in_channels + p.out_channels) * static_cast<int64_t>(element);
  return std::clamp<int64_t>(std::min(cache::winograd_wgrad_block / bytes, outputs(p) / 512), 32, 64);
}

/// How grad_weight is divided into tasks: into partial sums over blocks, and by slices and parts of the output
/// channels, so that the products of a task stay in L2.
struct Split {
  int64_t partials, slices, parts, part_size;  ///< a task has `slices` slices
};

template <class T>
Split split_of(const Conv3dProblem& p, const Tiling& tiling, int64_t lanes) {
  const int64_t width = round_up(p.out_channels, lanes), budget = cache::winograd_wgrad_sums;
  const int64_t slice =
      tiling.points().most(1) * tiling.parts().all() * p.in_channels * width * static_cast<int64_t>(sizeof(T));
  const int64_t blocks = ceil_div(p.out_channels, 2 * lanes);
  const int64_t parts = std::clamp<int64_t>(ceil_div(slice, budget), 1, blocks);
  Split s{};
  s.slices = slice * tiling.slices() <= budget ? tiling.slices() : tiling.points().slices_per_stage();
  s.part_size = ceil_div(blocks, parts) * 2 * lanes;
  s.parts = ceil_div(p.out_channels, s.part_size);
  const int64_t tasks = tiling.slices() / s.slices * s.parts;  // per partial sum
  const int64_t by_memory = cache::winograd_partial_sums / (slice * tiling.slices());
  s.partials =
      equal_shares(std::clamp<int64_t>(std::min({by_memory, tiling.blocks() / 8, ceil_div(32, tasks)}), 1, 32));
  if (s.partials * tasks >= 4) return s;
  // a small volume stays in a cache, so each slice may be a task that reads it
  s.slices = 1;
  if (tiling.slices() == 1) s.partials = std::clamp<int64_t>(std::min(by_memory, tiling.blocks() / 2), s.partials, 4);
  return s;
}

/// Weight gradients per point: partial sum s, point p, row r at (s * points + p) * point_stride + r * stride; rows are
/// (subkernel, input channel).
template <class T>
class PointGradients {
 public:
  PointGradients(const Conv3dProblem& p, const Tiling& tiling, int64_t partials, int64_t lanes)
      : points_(tiling.points().all()),
        stride_(round_up(p.out_channels, lanes)),
        point_stride_(tiling.parts().all() * p.in_channels * stride_ + lanes),
        u_(partials * points_ * point_stride_) {}
  T* point(int64_t partial, int64_t index) { return u_.data() + (partial * points_ + index) * point_stride_; }
  int64_t stride() const { return stride_; }
  int64_t point_stride() const { return point_stride_; }
  int64_t points() const { return points_; }

 private:
  int64_t points_, stride_, point_stride_;
  memory::Scratch<T> u_;
};

/// The blocks, output channels and slices that one task sums over.
struct Range {
  int64_t partial, block_begin, block_end, co_begin, co_end;
  int slice_begin, slice_end;
};

/// Computes the sums of a task, block by block and within a block stage by stage.
template <class T>
class WeightBlocks {
 public:
  WeightBlocks(const Conv3dProblem& p, const Tiling& tiling, const Range& range, const ConcatView<const T>& x,
               const T* dy, PointGradients<T>& u)
      : p_(p),
        tiling_(tiling),
        points_(tiling.points()),
        range_(range),
        x_(x),
        dy_(dy),
        u_(u),
        channels_(range.co_end - range.co_begin),
        together_(std::min(range.slice_end - range.slice_begin, points_.slices_per_stage())),
        fold_(points_.has_wide_tiles() ? current_winograd_table<T>().fold_sums : nullptr),
        in_(p.in_channels, tiling.most_input_tiles(), current_table<T>().lanes),
        out_(channels_, tiling.most_tiles(), current_table<T>().lanes),
        v_(points_.most(together_) * in_.point_stride),
        e_((fold_ != nullptr ? together_ * wide::numbers : points_.most(together_)) * out_.point_stride),
        e_off_(tiling.most_tiles(), out_.ld),
        prefetch_(points_) {}

  void run() {
    if (fold_ == nullptr) clear(range_.slice_begin, range_.slice_end);
    bool is_first = true;
    for (BlockIterator walk(tiling_, range_.block_begin, range_.block_end); !walk.done(); walk.step(), is_first = false)
      for (int slice = range_.slice_begin; slice < range_.slice_end; slice += together_) {
        const int slices = tiling_.slices_of(walk.block(), slice, together_);
        if (is_first && fold_ != nullptr) clear(slice + slices, slice + together_);  // later blocks may have them
        if (slices == 0) continue;
        transform(walk.block(), slice, slices);
        prefetch(walk.block(), walk.next(), slice);
        if (fold_ != nullptr)
          fold(walk.block(), slice, slices, is_first);
        else
          multiply(walk.block(), slice, slices);
        prefetch_.clear();
      }
  }

 private:
  void clear(int slice, int end) {
    for (int64_t i = points_.before(slice); i < points_.before(end); ++i)
      for (int64_t r = 0; r < tiling_.parts().all() * p_.in_channels; ++r)
        std::fill_n(u_.point(range_.partial, i) + r * u_.stride() + range_.co_begin, channels_, T(0));
  }
  InputTransformArgs<T> gradient(const Tiling::Block& b, int64_t run, int slice, int slices) const {
    InputTransformArgs<T> g = tiling_.gradient(b, run, slice, dy_ + range_.co_begin);
    g.channels = channels_;
    g.slices = slices;
    return g;
  }
  void transform(const Tiling::Block& block, int slice, int slices) {
    const TileTransforms<T>& kernels = current_winograd_table<T>().of_points(points_.along);
    transform_inputs(tiling_, block, slice, slices, x_, in_, v_.data(), kernels.input);
    transform_input<T>(block, out_, e_.data(), kernels.gradient,
                       [&](int64_t run) { return gradient(block, run, slice, slices); });
  }
  /// Prefetches for the next stage. If the task has all slices of wide tiles, that is usually a stage of the same
  /// block.
  void prefetch(const Tiling::Block& block, const Tiling::Block* next, int slice) {
    const bool whole = points_.has_wide_tiles() && range_.slice_end - range_.slice_begin == points_.slices();
    const Points::PrefetchPlan plan = whole ? points_.prefetch_plan(slice, tiling_.is_last(block, slice))
                                            : Points::PrefetchPlan{slice, 0b111111, false};
    if (plan.now || next != nullptr) prefetch_.add_inputs(tiling_, plan.now ? block : *next, plan, x_);
    if (next == nullptr || (whole && plan.slice != 0)) return;
    for (int64_t run = next->run_begin; run < next->run_end; ++run)
      prefetch_.add(gradient(*next, run, plan.slice, 0), points_.step(2), 0b111111);
  }
  void fold(const Tiling::Block& block, int slice, int slices, bool is_first) {
    const T *v = v_.data(), *e = e_.data();
    for (int s = slice; s < slice + slices; ++s) {
      const int count = points_.points(s, 1);
      ProductArgs<T, const T> a{count,
                                v,
                                in_.point_stride,
                                in_.ld,
                                u_.point(range_.partial, points_.before(s)) + range_.co_begin,
                                u_.point_stride(),
                                u_.stride(),
                                e,
                                out_.point_stride,
                                out_.ld,
                                block.tiles(),
                                1,
                                p_.in_channels,
                                channels_,
                                is_first};
      prefetch_.share(s - slice + 1, slices).take(a);
      fold_(a);
      v += count * in_.point_stride;
      e += wide::numbers * out_.point_stride;
    }
  }
  void multiply(const Tiling::Block& block, int slice, int slices) {
    const SubKernelTaps parts(tiling_, block, p_.in_channels, in_.ld);
    Offsets v_off(block.runs(), block.depth_tiles, tiling_.parts().halo(), in_.ld);
    const int before = points_.before(slice), count = points_.points(slice, slices);
    for (int point = 0; point < count; ++point) {
      prefetch_.share(point + 1, count).run();
      current_table<T>().wgrad({.x = v_.data() + point * in_.point_stride,
                                .dy = e_.data() + point * out_.point_stride - range_.co_begin,
                                .dw = u_.point(range_.partial, before + point),
                                .taps = parts.data(),
                                .tap_count = parts.size(),
                                .x_indirection = v_off.data(),
                                .y_indirection = e_off_.data(),
                                .positions = block.tiles(),
                                .dw_stride = u_.stride(),
                                .co_begin = range_.co_begin,
                                .co_end = range_.co_end});
    }
  }

  const Conv3dProblem& p_;
  const Tiling& tiling_;
  const Points& points_;
  const Range& range_;
  const ConcatView<const T>& x_;
  const T* dy_;
  PointGradients<T>& u_;
  int64_t channels_;
  int together_;
  void (*fold_)(const ProductArgs<T, const T>&);
  TransformedLayout in_, out_;
  memory::Scratch<T> v_, e_;
  Offsets e_off_;
  Prefetch prefetch_;
};

/// Adds the partial sums and transforms the result to taps. Returns false if these are inaccurate (SumsCheck).
template <class T>
bool finish_weights(const Conv3dProblem& p, const Tiling& tiling, int64_t partials, PointGradients<T>& u, T* dw) {
  const PartialSums groups(partials);
  groups.add(u.point(0, 0), u.points() * u.point_stride(), is_small(p));
  constexpr int64_t chunk = 8;
  const int64_t parts = tiling.parts().all(), tasks = ceil_div(p.in_channels, chunk);
  SumsCheck<T> check(p, shares_of(tiling.points()), parts * tasks);
  parallel_for(
      parts * tasks,
      [&](int64_t task) {
        const int64_t part = task / tasks, row = task % tasks * chunk, rows = std::min(chunk, p.in_channels - row);
        const int64_t at = (part * p.in_channels + row) * u.stride();
        for (int64_t g = 1; g < groups.count(); ++g)
          for (int64_t i = 0; i < u.points(); ++i)
            current_table<T>().accumulate(rows * u.stride(), u.point(groups.begin(g), i) + at, u.point(0, i) + at);
        check.add_points(task, rows, p.out_channels, u.point(0, 0) + at, u.point_stride(), u.stride());
        if (parts == 1) {
          inverse_transform_wgrad<T>(tiling, {rows, p.out_channels, u.point(0, 0) + at, u.point_stride(), u.stride()},
                                     dw + row * p.out_channels, p.in_channels * p.out_channels, p.out_channels);
          for (int64_t tap = 0; tap < taps(p); ++tap)
            check.add_tap(task, tap, rows, p.out_channels, dw + (tap * p.in_channels + row) * p.out_channels,
                          p.out_channels);
          return;
        }
        const int64_t tap = rows * p.out_channels;
        memory::Scratch<T> of_part(taps(shape_of_part(p)) * tap);
        inverse_transform_wgrad<T>(tiling, {rows, p.out_channels, u.point(0, 0) + at, u.point_stride(), u.stride()},
                                   of_part.data(), tap, p.out_channels);
        put_part<T>(p, part, row, rows, of_part.data(), dw);
        each_tap(p, part, [&](int64_t in_part, int64_t of_kernel) {
          check.add_tap(task, of_kernel, rows, p.out_channels, of_part.data() + in_part * tap, p.out_channels);
        });
      },
      is_small(p));
  return check.are_even();
}

template <class T>
bool grad_weight_by(const Conv3dProblem& p, const Points& points, const ConcatView<const T>& x, const T* dy, T* dw) {
  // The panel loop reads one tensor. With several, f2 tiles are here only as the second attempt after other tiles.
  if (x.count == 1 && uses_panel_loop(p, points, sizeof(T))) return grad_weight_panel_loop(p, x.data[0], dy, dw);
  const Tiling tiling(p, points, weight_block_tiles(p, points, sizeof(T)));
  const int64_t lanes = current_table<T>().lanes;
  const Split split = split_of<T>(p, tiling, lanes);
  PointGradients<T> u(p, tiling, split.partials, lanes);
  const int64_t groups = tiling.slices() / split.slices;
  parallel_for(
      split.partials * groups * split.parts,
      [&](int64_t task) {
        const int64_t part = task % split.parts, group = task / split.parts % groups,
                      partial = task / split.parts / groups;
        const int64_t co_begin = part * split.part_size;
        const Range range = {partial,
                             tiling.blocks() * partial / split.partials,
                             tiling.blocks() * (partial + 1) / split.partials,
                             co_begin,
                             std::min(p.out_channels, co_begin + split.part_size),
                             static_cast<int>(group * split.slices),
                             static_cast<int>((group + 1) * split.slices)};
        WeightBlocks<T>(p, tiling, range, x, dy, u).run();
      },
      is_small(p));
  return finish_weights(p, tiling, split.partials, u, dw);
}

/// The direct algorithm. It reads one tensor, so several are concatenated first.
template <class T>
void grad_weight_directly(const Conv3dProblem& p, const ConcatView<const T>& x, const T* dy, T* dw) {
  if (x.count == 1) return direct::grad_weight(p, x.data[0], dy, dw);
  const int64_t voxels = p.batch * in_volume(p) / p.in_channels;
  memory::Scratch<T> all(voxels * p.in_channels);
  for_each_source(x, [&](const T* data, int64_t channels, int64_t before) {
    for (int64_t v = 0; v < voxels; ++v)
      std::copy_n(data + v * channels, channels, all.data() + v * p.in_channels + before);
  });
  direct::grad_weight(p, all.data(), dy, dw);
}

}  // namespace

template <class T>
void grad_weight(const Conv3dProblem& p, WinogradTile tiles, const ConcatView<const T>& x, const T* dy, T* dw) {
  const Points points(p, tiles), square(p, WinogradTile::f2);
  if (is_strided(p, Pass::grad_weight)) {
    if (grad_weight_strided(p, x.data[0], dy, dw)) return;
  } else {
    if (grad_weight_by(p, points, x, dy, dw)) return;
    // f2 adds no product with a zero of the padding to a tap
    const bool spreads = points.has_long_tiles() || points.has_wide_tiles();
    if (spreads && grad_weight_by(p, square, x, dy, dw)) return;
  }
  grad_weight_directly(p, x, dy, dw);
}

template void grad_weight<float>(const Conv3dProblem&, WinogradTile, const ConcatView<const float>&, const float*,
                                 float*);
template void grad_weight<double>(const Conv3dProblem&, WinogradTile, const ConcatView<const double>&, const double*,
                                  double*);

}  // namespace vg::kernels::winograd
