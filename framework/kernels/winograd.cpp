// Forward and grad_input transform the weights once, then each task takes blocks of tiles (winograd_tiling.hpp), pass
// by pass: input to points, one product a point (the direct dense body with a single tap), products to outputs. Passes
// keep the scratch small: one has 16 of the 64 points, and its outputs are added up in place.
// grad_weight deals slices and slabs of blocks to tasks: input and gradient to points, one outer product a point (the
// direct grad_weight body), whose sums start from zero in each block; the inverse once, at the end.
#include "framework/kernels/winograd.hpp"

#include <algorithm>
#include <vector>

#include "framework/kernels/driver.hpp"
#include "framework/kernels/kernel_table.hpp"
#include "framework/kernels/winograd_blocks.hpp"
#include "framework/kernels/winograd_few_tiles.hpp"
#include "framework/kernels/winograd_groups.hpp"
#include "framework/kernels/winograd_points.hpp"
#include "framework/kernels/winograd_strided.hpp"
#include "framework/kernels/winograd_tiling.hpp"
#include "framework/kernels/winograd_weights.hpp"
#include "framework/memory.hpp"
#include "framework/threads.hpp"

namespace vg::kernels::winograd {

using std::int64_t;

namespace {

/// The same for grad_weight, where a block's products are added to sums in L2: the more tiles, the fewer times. A float
/// sum runs over the tiles of a block, then over the blocks of a slab: few tiles want short blocks. So do few wide
/// tiles of few channels: enough blocks for some slabs, which are cheap there, and slices that need not be apart (8 ->
/// 16 at 8^3, a batch of 32: 0.54 -> 0.29 ms).
int64_t weight_block_tiles(const Conv3dProblem& p, const Points& points, std::size_t element) {
  const int64_t products = p.in_channels * p.out_channels, tiles = tiles_of(p, points);
  if (points.has_wide_tiles() && products <= 1024 && tiles >= 192)
    return std::clamp<int64_t>(tiles / (products <= 512 ? 32 : 16), products <= 256 ? 8 : 16, 32);
  const int64_t bytes =
      points.most(points.of_pass()) * (p.in_channels + p.out_channels) * static_cast<int64_t>(element);
  return std::clamp<int64_t>(std::min((int64_t{128} << 10) / bytes, outputs(p) / 512), 32, 64);
}

/// The products of a block by point: a convolution over its tiles (PartTaps), or folded (Fold).
template <class T>
class DenseProducts {
 public:
  DenseProducts(const Conv3dProblem& p, const Tiling& tiling, const Tiling::Block& block, const PointLayout& in,
                const PointLayout& out, PointWeights<T>& u)
      : v_off_(block.runs(), block.depth_tiles, tiling.parts().halo(), in.ld),
        m_off_(block.tiles(), out.ld),
        parts_(tiling, block, p.in_channels, in.ld),
        args_{.x = nullptr,
              .w = nullptr,
              .y = nullptr,
              .taps = parts_.data(),
              .tap_count = parts_.size(),
              .x_off = v_off_.data(),
              .y_off = m_off_.data(),
              .positions = block.tiles(),
              .w_rows = parts_.size() * p.in_channels,
              .co_end = p.out_channels,
              .repeats = {1, in.point_stride, u.point_stride(), out.point_stride}},
        fold_{0,       nullptr,          in.point_stride, in.ld,         nullptr, u.point_stride(), 0,
              nullptr, out.point_stride, out.ld,          block.tiles(), 1,       p.in_channels,    0,
              {}},
        folded_(tiling.points().has_wide_tiles() ? current_winograd_table<T>().fold : nullptr),
        u_(u) {}
  void operator()(const Portion& portion, const T* v, T* m, const Prefetch::Share& ahead) {
    if (folded_ != nullptr) return fold(portion, v, m, ahead);
    ahead.run();
    args_.x = v;
    args_.w = u_.point(portion.point);
    args_.y = m;
    args_.repeats.count = portion.count;
    current_table<T>().gather_dense(args_);
  }

 private:
  /// By the blocks in which the weights are packed.
  void fold(const Portion& portion, const T* v, T* m, const Prefetch::Share& ahead) {
    const int64_t lanes = current_table<T>().lanes, block = 2 * lanes;
    fold_.points = portion.count;
    fold_.v = v;
    fold_.asked = ahead.take();
    for (int64_t c = 0; c < args_.co_end; c += block) {
      fold_.u = u_.point(portion.point) + c * fold_.in;
      fold_.m = m + c;
      fold_.u_ld = std::min(block, round_up(args_.co_end - c, lanes));
      fold_.out = fold_.u_ld;  // zeros beyond the channels
      folded_(fold_);
      fold_.asked = {};
    }
  }

  Offsets v_off_, m_off_;
  PartTaps parts_;
  GatherArgs<T> args_;
  WinogradFold<T> fold_;
  void (*folded_)(const WinogradFold<T>&);
  PointWeights<T>& u_;
};

/// How the sum over blocks is cut in grad_weight: into slabs; by slice and by parts of the output channels, so that the
/// products of a task stay in L2.
struct Split {
  int64_t slabs, slices, parts, part_size;  ///< `slices` are worked on together
};

template <class T>
Split split_of(const Conv3dProblem& p, const Tiling& tiling, int64_t lanes) {
  const int64_t width = round_up(p.out_channels, lanes), budget = int64_t{384} << 10;
  const int64_t slice =
      tiling.points().most(1) * tiling.parts().all() * p.in_channels * width * static_cast<int64_t>(sizeof(T));
  const int64_t blocks = ceil_div(p.out_channels, 2 * lanes);
  const int64_t parts = std::clamp<int64_t>(ceil_div(slice, budget), 1, blocks);
  Split s{};
  s.slices = slice * tiling.slices() <= budget ? tiling.slices() : tiling.points().of_pass();
  s.part_size = ceil_div(blocks, parts) * 2 * lanes;
  s.parts = ceil_div(p.out_channels, s.part_size);
  const int64_t tasks = tiling.slices() / s.slices * s.parts;  // of a slab
  const int64_t by_memory = (int64_t{8} << 20) / (slice * tiling.slices());
  s.slabs = std::clamp<int64_t>(std::min({by_memory, tiling.blocks() / 8, ceil_div(32, tasks)}), 1, 32);
  if (s.slabs > 4) s.slabs -= s.slabs % 4;  // equal shares for two and four threads
  if (s.slabs * tasks >= 4) return s;
  // a small volume: each slice reads it from a cache
  s.slices = 1;
  if (tiling.slices() == 1) s.slabs = std::clamp<int64_t>(std::min(by_memory, tiling.blocks() / 2), s.slabs, 4);
  return s;
}

/// Gradients by point: of slab s, point p, row r at (s * points + p) * point_stride + r * stride; rows are (part of the
/// kernel, input channel).
template <class T>
class PointGradients {
 public:
  PointGradients(const Conv3dProblem& p, const Tiling& tiling, int64_t slabs, int64_t lanes)
      : points_(tiling.points().all()),
        stride_(round_up(p.out_channels, lanes)),
        point_stride_(tiling.parts().all() * p.in_channels * stride_ + lanes),
        u_(slabs * points_ * point_stride_) {}
  T* point(int64_t slab, int64_t index) { return u_.data() + (slab * points_ + index) * point_stride_; }
  int64_t stride() const { return stride_; }
  int64_t point_stride() const { return point_stride_; }
  int64_t points() const { return points_; }

 private:
  int64_t points_, stride_, point_stride_;
  memory::Scratch<T> u_;
};

/// What one task of grad_weight adds up.
struct Range {
  int64_t slab, block_begin, block_end, co_begin, co_end;
  int slice_begin, slice_end;
};

/// Of a slice of wide tiles, from which grad_weight's products make the points along D.
constexpr int numbers = 16;

template <class T>
void weight_blocks(const Conv3dProblem& p, const Tiling& tiling, const Range& range, const Joined<const T>& x,
                   const T* dy, PointGradients<T>& u) {
  const Points& points = tiling.points();
  const WinogradTiles<T>& kernels = current_winograd_table<T>().of_points(points.along);
  const int64_t lanes = current_table<T>().lanes, channels = range.co_end - range.co_begin;
  const int together = std::min(range.slice_end - range.slice_begin, points.of_pass());
  const PointLayout in(p.in_channels, tiling.most_input_tiles(), lanes), out(channels, tiling.most_tiles(), lanes);
  const auto fold = points.has_wide_tiles() ? current_winograd_table<T>().fold_sums : nullptr;
  memory::Scratch<T> v(points.most(together) * in.point_stride),
      e((fold != nullptr ? together * numbers : points.most(together)) * out.point_stride);
  Offsets e_off(tiling.most_tiles(), out.ld);
  const auto gradient = [&](const Tiling::Block& b, int64_t run, int slice) {
    WinogradGather<T> g = tiling.gradient(b, run, slice, dy + range.co_begin);
    g.channels = channels;
    g.slices = together;
    return g;
  };
  for (int64_t i = points.before(range.slice_begin); i < points.before(range.slice_end); ++i)
    for (int64_t r = 0; r < tiling.parts().all() * p.in_channels; ++r)
      std::fill_n(u.point(range.slab, i) + r * u.stride() + range.co_begin, round_up(channels, lanes), T(0));
  Prefetch prefetch(points);
  // wide tiles, pass after pass
  const bool whole = points.has_wide_tiles() && range.slice_end - range.slice_begin == points.slices();
  for (BlockWalk walk(tiling, range.block_begin, range.block_end); !walk.done(); walk.step()) {
    const Tiling::Block& block = walk.block();
    const Tiling::Block* const next = walk.next();
    const PartTaps parts(tiling, block, p.in_channels, in.ld);
    Offsets v_off(block.runs(), block.depth_tiles, tiling.parts().halo(), in.ld);
    for (int slice = range.slice_begin; slice < range.slice_end; slice += together) {
      inputs_to_points(tiling, block, slice, together, x, in, v.data(), kernels.input);
      to_points<T>(block, out, e.data(), kernels.gradient, [&](int64_t run) { return gradient(block, run, slice); });
      const Points::Ahead ahead = whole ? points.ahead(slice) : Points::Ahead{slice, 0b111111, false};
      if (ahead.now || next != nullptr) prefetch.add_inputs(tiling, ahead.now ? block : *next, ahead, x);
      if (next != nullptr && (!whole || ahead.slice == 0))
        for (int64_t run = next->run_begin; run < next->run_end; ++run)
          prefetch.add(gradient(*next, run, ahead.slice), points.step(2), 0b111111);
      const int before = points.before(slice), count = points.points(slice, together);
      for (int s = slice, point = 0; fold != nullptr && s < slice + together; point += points.points(s++, 1))
        fold({points.points(s, 1), v.data() + point * in.point_stride, in.point_stride, in.ld,
              e.data() + (s - slice) * numbers * out.point_stride, out.point_stride, out.ld,
              u.point(range.slab, before + point) + range.co_begin, u.point_stride(), u.stride(), block.tiles(),
              p.in_channels, channels, prefetch.share(s - slice + 1, together).take()});
      for (int point = 0; fold == nullptr && point < count; ++point) {
        prefetch.share(point + 1, count).run();
        current_table<T>().weight_dense({.x = v.data() + point * in.point_stride,
                                         .dy = e.data() + point * out.point_stride - range.co_begin,
                                         .dw = u.point(range.slab, before + point),
                                         .taps = parts.data(),
                                         .tap_count = parts.size(),
                                         .x_off = v_off.data(),
                                         .y_off = e_off.data(),
                                         .positions = block.tiles(),
                                         .dw_stride = u.stride(),
                                         .co_begin = range.co_begin,
                                         .co_end = range.co_end});
      }
      prefetch.clear();
    }
  }
}

/// Adds up the slabs and turns points into taps.
template <class T>
void finish_weights(const Conv3dProblem& p, const Tiling& tiling, int64_t slabs, PointGradients<T>& u, T* dw) {
  constexpr int64_t chunk = 8;
  const int64_t parts = tiling.parts().all(), tasks = ceil_div(p.in_channels, chunk);
  parallel_for(
      parts * tasks,
      [&](int64_t task) {
        const int64_t part = task / tasks, row = task % tasks * chunk, rows = std::min(chunk, p.in_channels - row);
        const int64_t at = (part * p.in_channels + row) * u.stride();
        for (int64_t s = 1; s < slabs; ++s)
          for (int64_t i = 0; i < u.points(); ++i)
            current_table<T>().accumulate(rows * u.stride(), u.point(s, i) + at, u.point(0, i) + at);
        if (parts == 1) {
          points_to_taps<T>(tiling, {rows, p.out_channels, u.point(0, 0) + at, u.point_stride(), u.stride()},
                            dw + row * p.out_channels, p.in_channels * p.out_channels, p.out_channels);
          return;
        }
        const int64_t tap = rows * p.out_channels;
        memory::Scratch<T> of_part(taps(shape_of_part(p)) * tap);
        points_to_taps<T>(tiling, {rows, p.out_channels, u.point(0, 0) + at, u.point_stride(), u.stride()},
                          of_part.data(), tap, p.out_channels);
        put_part<T>(p, part, row, rows, of_part.data(), dw);
      },
      is_small(p));
}

}  // namespace

bool applies(const Conv3dProblem& p, Pass pass) {
  if (is_strided(p, pass)) return true;
  bool three = false;
  for (int a = 0; a < 3; ++a) {
    if (p.stride[a] != 1 || p.lhs_dilation[a] != 1) return false;
    if (p.kernel_size[a] != 1 && p.kernel_size[a] != 3 && p.kernel_size[a] != 5) return false;
    three = three || p.kernel_size[a] > 1;
  }
  return three && (p.groups == 1 || (pass != Pass::grad_weight && Parts(p).all() == 1));
}

namespace {

template <class T>
bool gather_dense(const Conv3dProblem& p, const Points& points, bool transpose, const Joined<const T>& x, const T* w,
                  const Joined<T>& y, const Epilogue<T>& epilogue) {
  const Tiling tiling(p, points, block_tiles(p, points, sizeof(T)));
  PointWeights<T> u(p, tiling, transpose, w);
  const WinogradTable<T>& table = current_winograd_table<T>();
  const PointLayout in(p.in_channels, tiling.most_input_tiles(), table.lanes),
      out(p.out_channels, tiling.most_tiles(), table.lanes);
  return gather_blocks<T>(p, tiling, {x, in, table}, {y, out, table}, epilogue,
                          [&](const Tiling::Block& block) { return DenseProducts<T>(p, tiling, block, in, out, u); });
}

template <class T>
bool is_grouped(const Conv3dProblem& p) {
  return p.groups > 1 || has_one_narrow_group<T>(p);
}

bool takes_few_tiles(const Conv3dProblem& p, const Points& points, std::size_t element) {
  return !points.has_long_tiles() && !points.has_wide_tiles() && has_few_tiles(p, static_cast<int64_t>(element));
}

}  // namespace

template <class T>
bool takes_joined(const Conv3dProblem& p, Tiles tiles) {
  return !is_strided(p, Pass::forward) && !is_grouped<T>(p) && !takes_few_tiles(p, Points(p, tiles), sizeof(T));
}

template <class T>
bool gather(const Conv3dProblem& p, Tiles tiles, bool transpose, const Joined<const T>& x, const T* w,
            const Joined<T>& y, const Epilogue<T>& epilogue) {
  if (is_strided(p, Pass::forward)) return gather_strided(p, transpose, x.data[0], w, y.data[0], epilogue);
  const bool grouped = is_grouped<T>(p);
  const Points points = passes_of(p, Points(p, tiles), sizeof(T));
  if (!grouped && takes_few_tiles(p, points, sizeof(T)))
    return gather_few_tiles(p, transpose, x.data[0], w, y.data[0]), false;
  const auto gather_all = [&](const Points& by) {
    return grouped ? gather_groups(p, by, transpose, x, w, y, epilogue)
                   : gather_dense(p, by, transpose, x, w, y, epilogue);
  };
  // Through its long or wide tile a NaN reaches outputs that do not meet it: square tiles keep it to those that do.
  if (!gather_all(points)) gather_all(Points(p, Tiles::square));
  return takes(p, epilogue);
}

template <class T>
void grad_weight(const Conv3dProblem& p, Tiles tiles, const Joined<const T>& x, const T* dy, T* dw) {
  if (is_strided(p, Pass::grad_weight)) return grad_weight_strided(p, x.data[0], dy, dw);
  const Points points(p, tiles);
  if (takes_few_tiles(p, points, sizeof(T))) return grad_weight_few_tiles(p, x.data[0], dy, dw);
  const Tiling tiling(p, points, weight_block_tiles(p, points, sizeof(T)));
  const int64_t lanes = current_table<T>().lanes;
  const Split split = split_of<T>(p, tiling, lanes);
  PointGradients<T> u(p, tiling, split.slabs, lanes);
  const int64_t groups = tiling.slices() / split.slices;
  parallel_for(
      split.slabs * groups * split.parts,
      [&](int64_t task) {
        const int64_t part = task % split.parts, group = task / split.parts % groups,
                      slab = task / split.parts / groups;
        const int64_t co_begin = part * split.part_size;
        weight_blocks(p, tiling,
                      {slab, tiling.blocks() * slab / split.slabs, tiling.blocks() * (slab + 1) / split.slabs, co_begin,
                       std::min(p.out_channels, co_begin + split.part_size), static_cast<int>(group * split.slices),
                       static_cast<int>((group + 1) * split.slices)},
                      x, dy, u);
      },
      is_small(p));
  finish_weights(p, tiling, split.slabs, u, dw);
}

template bool takes_joined<float>(const Conv3dProblem&, Tiles);
template bool gather<float>(const Conv3dProblem&, Tiles, bool, const Joined<const float>&, const float*,
                            const Joined<float>&, const Epilogue<float>&);
template bool takes_joined<double>(const Conv3dProblem&, Tiles);
template bool gather<double>(const Conv3dProblem&, Tiles, bool, const Joined<const double>&, const double*,
                             const Joined<double>&, const Epilogue<double>&);
template void grad_weight<float>(const Conv3dProblem&, Tiles, const Joined<const float>&, const float*, float*);
template void grad_weight<double>(const Conv3dProblem&, Tiles, const Joined<const double>&, const double*, double*);

}  // namespace vg::kernels::winograd
