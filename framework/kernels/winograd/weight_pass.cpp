// Backward-weights. A task computes some slices of one partial sum over blocks: it transforms input and gradient and
// adds one outer product per point and block (wgrad, or fused products), whose sums start from zero in each block. With
// stride 2 the outer product at a point of w is a sum over several pairs of points of x and dy. The inverse transform
// runs once, at the end.
#include <algorithm>
#include <utility>
#include <vector>

#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/base/threads.hpp"
#include "voxgrad/framework/kernels/common/cache.hpp"
#include "voxgrad/framework/kernels/common/driver.hpp"
#include "voxgrad/framework/kernels/common/kernel_table.hpp"
#include "voxgrad/framework/kernels/common/split_k.hpp"
#include "voxgrad/framework/kernels/winograd/checks.hpp"
#include "voxgrad/framework/kernels/winograd/layout.hpp"
#include "voxgrad/framework/kernels/winograd/loops.hpp"
#include "voxgrad/framework/kernels/winograd/prefetch.hpp"
#include "voxgrad/framework/kernels/winograd/tiling.hpp"
#include "voxgrad/framework/kernels/winograd/weights.hpp"

namespace vg::kernels::winograd {

using std::int64_t;

namespace {

/// Tiles per block. The products of a block are added to sums in L2, so large blocks read and write these less often. A
/// float sum runs over the tiles of a block, then over the blocks of a partial sum, so problems with few tiles are more
/// accurate with small blocks. Wide tiles with few channels also use small blocks: there are then enough blocks for
/// several partial sums, which are cheap with few channels, and slices need not be divided among tasks (8 -> 16
/// channels at 8^3, a batch of 32: 0.54 -> 0.29 ms).
int64_t weight_block_tiles(const Conv3dProblem& p, const Scheme& scheme, std::size_t element) {
  if (scheme.strided) return block_tiles(p, scheme, element);
  const int64_t products = p.in_channels * p.out_channels, tiles = tiles_of(p, scheme);
  if (scheme.has_wide_tiles() && products <= 1024 && tiles >= 192)
    return std::clamp<int64_t>(tiles / (products <= 512 ? 32 : 16), products <= 256 ? 8 : 16, 32);
  const int64_t bytes =
      scheme.most(scheme.stage_slices) * (p.in_channels + p.out_channels) * static_cast<int64_t>(element);
  return std::clamp<int64_t>(std::min(cache::winograd_wgrad_block / bytes, outputs(p) / 512), 32, 64);
}

/// Weight gradients per point, and how they are divided into tasks: into partial sums over blocks, and by slices and
/// parts of the output channels, so that the products of a task stay in L2. Partial sum s, point p, row r is at (s *
/// points + p) * point_stride + r * stride; rows are (subkernel, input channel).
template <class T>
class WeightSums {
 public:
  const int64_t stride, point_stride, points;
  int64_t slices, part_size, parts, partials;  ///< a task has `slices` slices and part_size output channels

  WeightSums(const Conv3dProblem& p, const Tiling& tiling)
      : stride(round_up(p.out_channels, current_table<T>().lanes)),
        point_stride(tiling.scheme().all_subkernels() * p.in_channels * stride + current_table<T>().lanes),
        points(tiling.scheme().w_points()),
        partials(divide(p, tiling)),
        u_(partials * points * point_stride) {}
  T* point(int64_t partial, int64_t index) { return u_.data() + (partial * points + index) * point_stride; }

 private:
  /// Sets the numbers of a task and returns the number of partial sums.
  int64_t divide(const Conv3dProblem& p, const Tiling& tiling) {
    const Scheme& scheme = tiling.scheme();
    const int64_t lanes = current_table<T>().lanes, blocks = ceil_div(p.out_channels, 2 * lanes);
    const int64_t point = scheme.all_subkernels() * p.in_channels * stride * static_cast<int64_t>(sizeof(T));
    const int64_t slice = point * (scheme.strided ? points : scheme.most(1));
    const int64_t by_memory = cache::winograd_partial_sums / (slice * scheme.slices());
    slices = parts = 1;
    part_size = blocks * 2 * lanes;
    if (scheme.strided)
      return is_small(p) ? 1 : equal_shares(std::clamp<int64_t>(std::min(by_memory, tiling.blocks() / 8), 1, 16));
    const int64_t budget = cache::winograd_wgrad_sums;
    const int64_t wanted = std::clamp<int64_t>(ceil_div(slice, budget), 1, blocks);
    slices = slice * scheme.slices() <= budget ? scheme.slices() : scheme.stage_slices;
    part_size = ceil_div(blocks, wanted) * 2 * lanes;
    parts = ceil_div(p.out_channels, part_size);
    const int64_t tasks = scheme.slices() / slices * parts;  // per partial sum
    const int64_t most =
        equal_shares(std::clamp<int64_t>(std::min({by_memory, tiling.blocks() / 8, ceil_div(32, tasks)}), 1, 32));
    if (most * tasks >= 4) return most;
    // a small volume stays in a cache, so each slice may be a task that reads it
    slices = 1;
    if (scheme.slices() > 1) return most;
    return std::clamp<int64_t>(std::min(by_memory, tiling.blocks() / 2), most, 4);
  }

  memory::Scratch<T> u_;
};

/// With stride 2, the offsets of tiles of x and of dy that are multiplied at each point of w, product by product.
using ProductPairs = std::vector<std::pair<std::vector<int64_t>, std::vector<int64_t>>>;
ProductPairs pairs_of(const Scheme& scheme, int64_t tiles, const TransformedLayout& in, const TransformedLayout& out) {
  if (!scheme.strided) return {};
  ProductPairs pairs(static_cast<std::size_t>(scheme.w_points()));
  std::vector<std::size_t> products(pairs.size());
  each_strided_product(scheme, [&](int, int w, int) { ++products[static_cast<std::size_t>(w)]; });
  for (std::size_t w = 0; w < pairs.size(); ++w)
    for (auto* const offsets : {&pairs[w].first, &pairs[w].second})
      offsets->reserve(products[w] * static_cast<std::size_t>(tiles));
  each_strided_product(scheme, [&](int x, int w, int y) {
    auto& [of_x, of_dy] = pairs[static_cast<std::size_t>(w)];
    for (int64_t t = 0; t < tiles; ++t) {
      of_x.push_back(x * in.point_stride + t * in.ld);
      of_dy.push_back(y * out.point_stride + t * out.ld);
    }
  });
  return pairs;
}

/// Computes the sums of a task, block by block and within a block stage by stage.
template <class T>
class WeightTask {
 public:
  /// `pairs`: those of a block with tiling.most_tiles() tiles.
  WeightTask(const Conv3dProblem& p, const Tiling& tiling, int64_t index, const ConcatView<const T>& x, const T* dy,
             const ProductPairs& pairs, WeightSums<T>& u)
      : p_(p),
        tiling_(tiling),
        scheme_(tiling.scheme()),
        kernels_(transforms_of(current_winograd_table<T>(), scheme_)),
        x_(x),
        dy_(dy),
        pairs_(pairs),
        u_(u),
        partial_(index / u.parts / (scheme_.slices() / u.slices)),
        slice_begin_(static_cast<int>(index / u.parts % (scheme_.slices() / u.slices) * u.slices)),
        slice_end_(slice_begin_ + static_cast<int>(u.slices)),
        together_(std::min(slice_end_ - slice_begin_, scheme_.stage_slices)),
        co_begin_(index % u.parts * u.part_size),
        channels_(std::min(p.out_channels - co_begin_, u.part_size)),
        fold_(scheme_.has_wide_tiles() ? current_winograd_table<T>().fold_sums : nullptr),
        in_(p.in_channels, tiling.most_input_tiles(), current_table<T>().lanes),
        out_(channels_, tiling.most_tiles(), current_table<T>().lanes),
        v_(scheme_.most(together_) * in_.point_stride),
        e_((fold_ != nullptr ? together_ * wide::numbers : scheme_.most_y(together_)) * out_.point_stride),
        v_off_(tiling.most_tiles()),
        e_off_(tiling.most_tiles()),
        prefetch_(tiling) {
    fill_offsets(e_off_.data(), 1, tiling.most_tiles(), 0, out_.ld);
  }

  void run() {
    if (fold_ == nullptr) clear(slice_begin_, slice_end_);
    bool is_first = true;
    const int64_t blocks = tiling_.blocks(), begin = blocks * partial_ / u_.partials,
                  end = blocks * (partial_ + 1) / u_.partials;
    tiling_.each_block(begin, end, [&](const Tiling::Block& block, const Tiling::Block* next) {
      for (int slice = slice_begin_; slice < slice_end_; slice += together_) {
        const int slices = tiling_.slices_of(block, slice, together_);
        if (is_first && fold_ != nullptr) clear(slice + slices, slice + together_);  // later blocks may have them
        if (slices == 0) continue;
        transform_inputs(tiling_, block, slice, slices, x_, in_, v_.data(), kernels_.input);
        transform_input<T>(block, out_, e_.data(), kernels_.gradient,
                           [&](int64_t run) { return gradient(block, run, slice, slices); });
        prefetch(block, next, slice);
        if (fold_ != nullptr)
          fold(block, slice, slices, is_first);
        else if (scheme_.strided && block.tiles() == tiling_.most_tiles())
          multiply_pairs(block, pairs_);
        else if (scheme_.strided)
          multiply_pairs(block, pairs_of(scheme_, block.tiles(), in_, out_));
        else
          multiply(block, slice, slices);
        prefetch_.clear();
      }
      is_first = false;
    });
  }

 private:
  void clear(int slice, int end) {
    const int64_t last = scheme_.strided ? u_.points : scheme_.before(end);
    const int64_t rows = scheme_.all_subkernels() * p_.in_channels;
    for (int64_t i = scheme_.before(slice); i < last; ++i)
      if (u_.parts == 1)
        std::fill_n(u_.point(partial_, i), rows * u_.stride, T(0));
      else
        for (int64_t r = 0; r < rows; ++r)
          std::fill_n(u_.point(partial_, i) + r * u_.stride + co_begin_, channels_, T(0));
  }
  InputTransformArgs<T> gradient(const Tiling::Block& b, int64_t run, int slice, int slices) const {
    InputTransformArgs<T> g = tiling_.gradient(b, run, slice, dy_ + co_begin_);
    g.channels = channels_;
    g.slices = slices;
    return g;
  }
  /// Prefetches for the next stage. If the task has all slices of wide tiles, that is usually a stage of the same
  /// block.
  void prefetch(const Tiling::Block& block, const Tiling::Block* next, int slice) {
    const bool whole = scheme_.has_wide_tiles() && slice_end_ - slice_begin_ == scheme_.slices();
    if (whole)
      prefetch_.add_stage(block, next, slice, x_);
    else if (next != nullptr)
      prefetch_.add_inputs(*next, slice, Prefetch::all_planes, x_);
    if (next == nullptr || (whole && !tiling_.is_last(block, slice))) return;
    for (int64_t run = next->run_begin; run < next->run_end; ++run)
      prefetch_.add(gradient(*next, run, whole ? 0 : slice, 0), scheme_.outputs[2], Prefetch::all_planes);
  }
  void fold(const Tiling::Block& block, int slice, int slices, bool is_first) {
    const T *v = v_.data(), *e = e_.data();
    for (int s = slice; s < slice + slices; ++s) {
      const int count = scheme_.points(s, 1);
      ProductArgs<T, const T> a{.v = v,
                                .u = u_.point(partial_, scheme_.before(s)) + co_begin_,
                                .m = e,
                                .v_ld = in_.ld,
                                .u_ld = u_.stride,
                                .m_ld = out_.ld,
                                .tiles = block.tiles(),
                                .groups = 1,
                                .in = p_.in_channels,
                                .out = channels_,
                                .points = count,
                                .v_point = in_.point_stride,
                                .u_point = u_.point_stride,
                                .m_point = out_.point_stride,
                                .first = is_first};
      prefetch_.take(s - slice + 1, slices, a);
      fold_(a);
      v += count * in_.point_stride;
      e += wide::numbers * out_.point_stride;
    }
  }
  WgradArgs<T> arguments(const Tiling::Block& block) {
    return {.x = v_.data(),
            .dy = e_.data() - co_begin_,
            .dw = nullptr,
            .taps = taps_,
            .tap_count = scheme_.all_subkernels(),
            .x_indirection = v_off_.data(),
            .y_indirection = e_off_.data(),
            .positions = block.tiles(),
            .dw_stride = u_.stride,
            .co_begin = co_begin_,
            .co_end = co_begin_ + channels_};
  }
  void multiply(const Tiling::Block& block, int slice, int slices) {
    fill_subkernel_taps(taps_, scheme_, block, p_.in_channels, in_.ld);
    fill_offsets(v_off_.data(), block.runs(), block.depth_tiles, scheme_.halo(), in_.ld);
    const int before = scheme_.before(slice), count = scheme_.points(slice, slices);
    WgradArgs<T> a = arguments(block);
    for (int point = 0; point < count; ++point, a.x += in_.point_stride, a.dy += out_.point_stride) {
      prefetch_.run(point + 1, count);
      a.dw = u_.point(partial_, before + point);
      current_table<T>().wgrad(a);
    }
  }
  void multiply_pairs(const Tiling::Block& block, const ProductPairs& pairs) {
    taps_[0] = {0, p_.in_channels, 0};
    WgradArgs<T> a = arguments(block);
    for (int point = 0; point < scheme_.w_points(); ++point) {
      prefetch_.run(point + 1, scheme_.w_points());
      const auto& [of_x, of_dy] = pairs[static_cast<std::size_t>(point)];
      a.dw = u_.point(partial_, point);
      a.x_indirection = of_x.data();
      a.y_indirection = of_dy.data();
      a.positions = static_cast<int64_t>(of_x.size());
      current_table<T>().wgrad(a);
    }
  }

  const Conv3dProblem& p_;
  const Tiling& tiling_;
  const Scheme& scheme_;
  const TileTransforms<T>& kernels_;
  const ConcatView<const T>& x_;
  const T* dy_;
  const ProductPairs& pairs_;
  WeightSums<T>& u_;
  int64_t partial_;
  int slice_begin_, slice_end_, together_;
  int64_t co_begin_, channels_;
  void (*fold_)(const ProductArgs<T, const T>&);
  TransformedLayout in_, out_;
  memory::Scratch<T> v_, e_;
  memory::Scratch<int64_t> v_off_, e_off_;
  TapRun taps_[most_subkernels];
  Prefetch prefetch_;
};

/// Adds the partial sums and transforms the result to taps. Returns false if these are inaccurate (SumsCheck).
template <class T>
bool finish_weights(const Conv3dProblem& p, const Scheme& scheme, WeightSums<T>& u, T* dw) {
  const PartialSums groups(u.partials);
  groups.add(u.point(0, 0), u.points * u.point_stride, is_small(p));
  const int64_t chunk = scheme.strided ? 1 : 8, row_size = p.out_channels;
  const int64_t subkernels = scheme.all_subkernels(), tasks = ceil_div(p.in_channels, chunk);
  SumsCheck<T> check(p, scheme, subkernels * tasks);
  parallel_for(
      subkernels * tasks,
      [&](int64_t task) {
        const int64_t sub = task / tasks, row = task % tasks * chunk, rows = std::min(chunk, p.in_channels - row);
        const int64_t at = (sub * p.in_channels + row) * u.stride;
        for (int64_t g = 1; g < groups.count(); ++g)
          for (int64_t i = 0; i < u.points; ++i)
            current_table<T>().accumulate(rows * u.stride, u.point(groups.begin(g), i) + at, u.point(0, i) + at);
        check.add_points(task, rows, row_size, u.point(0, 0) + at, u.point_stride, u.stride);
        // the taps of one of several subkernels are copied to those of the kernel
        memory::Scratch<T> of_subkernel(subkernels == 1 ? 0 : taps(shape_of_subkernel(p)) * rows * row_size);
        WeightTransformArgs<const T, T> a{};
        a.w = subkernels == 1 ? dw + row * row_size : of_subkernel.data();
        a.tap_stride = (subkernels == 1 ? p.in_channels : rows) * row_size;
        a.row_stride = row_size;
        a.rows = rows;
        a.channels = row_size;
        a.u = u.point(0, 0) + at;
        a.point_stride = u.point_stride;
        a.u_stride = u.stride;
        inverse_transform_wgrad<T>(scheme, a);
        each_tap(p, scheme, sub, [&](int64_t tap, int64_t of_kernel) {
          const T* const from = a.w + tap * a.tap_stride;
          if (subkernels > 1) std::copy_n(from, rows * row_size, dw + (of_kernel * p.in_channels + row) * row_size);
          check.add_tap(task, of_kernel, rows, row_size, from, row_size);
        });
      },
      is_small(p));
  return check.are_even();
}

}  // namespace

template <class T>
bool grad_weight_by_blocks(const Conv3dProblem& p, const Scheme& scheme, const ConcatView<const T>& x, const T* dy,
                           T* dw) {
  const Tiling tiling(p, scheme, weight_block_tiles(p, scheme, sizeof(T)));
  WeightSums<T> u(p, tiling);
  const int64_t lanes = current_table<T>().lanes;
  const ProductPairs pairs = pairs_of(scheme, tiling.most_tiles(), {p.in_channels, tiling.most_input_tiles(), lanes},
                                      {p.out_channels, tiling.most_tiles(), lanes});
  parallel_for(
      u.partials * (scheme.slices() / u.slices) * u.parts,
      [&](int64_t task) { WeightTask<T>(p, tiling, task, x, dy, pairs, u).run(); }, is_small(p));
  return finish_weights(p, scheme, u, dw);
}

template bool grad_weight_by_blocks<float>(const Conv3dProblem&, const Scheme&, const ConcatView<const float>&,
                                           const float*, float*);
template bool grad_weight_by_blocks<double>(const Conv3dProblem&, const Scheme&, const ConcatView<const double>&,
                                            const double*, double*);

}  // namespace vg::kernels::winograd
