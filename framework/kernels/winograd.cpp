// Forward and grad_input transform the weights once, then each task takes blocks of tiles (winograd_tiling.hpp), slice
// by slice: input to points, one product a point (the direct dense body with a single tap), products to outputs. Slices
// keep the scratch small: a slice has 16 of the 64 points, and its outputs are added up in place.
// grad_weight deals slices and slabs of blocks to tasks: input and gradient to points, one outer product a point (the
// direct grad_weight body), whose sums start from zero in each block; the inverse once, at the end.
#include "framework/kernels/winograd.hpp"

#include <algorithm>
#include <vector>

#include "framework/kernels/driver.hpp"
#include "framework/kernels/kernel_table.hpp"
#include "framework/kernels/winograd_few_tiles.hpp"
#include "framework/kernels/winograd_points.hpp"
#include "framework/kernels/winograd_tiling.hpp"
#include "framework/kernels/winograd_weights.hpp"
#include "framework/memory.hpp"
#include "framework/threads.hpp"

namespace vg::kernels::winograd {

using std::int64_t;

namespace {

int points_of_slice(const Conv3dProblem& p) { return (p.kernel_size[1] > 1 ? 4 : 1) * (p.kernel_size[2] > 1 ? 4 : 1); }

/// Tiles of a block: half of L2 for the transforms of a slice, but enough for a register tile or two.
int64_t block_tiles(const Conv3dProblem& p, int points, std::size_t element) {
  const int64_t bytes = points * (Parts(p).rows() * p.in_channels + p.out_channels) * static_cast<int64_t>(element);
  return std::clamp<int64_t>((int64_t{512} << 10) / bytes, 16, 32);
}

/// The same for grad_weight, where a block's products are added to sums in L2: the more tiles, the fewer times. A float
/// sum runs over the tiles of a block, then over the blocks of a slab: few tiles want short blocks.
int64_t weight_block_tiles(const Conv3dProblem& p, int points, std::size_t element) {
  const int64_t bytes = points * (p.in_channels + p.out_channels) * static_cast<int64_t>(element);
  return std::clamp<int64_t>(std::min((int64_t{128} << 10) / bytes, outputs(p) / 512), 32, 64);
}

/// Brings what the next block reads into L2 while this one multiplies: without it, the transforms wait for memory (rows
/// are short and many). Spread over the products, so that it never fills the queues.
class Prefetch {
 public:
  template <class T>
  void add(const WinogradGather<T>& g, int rows) {
    for (int r = 0; r < rows; ++r) {
      add_row(g, g.a[r]);
      add_row(g, g.b[r]);
    }
  }
  /// The `part`-th of `parts` equal pieces; the last one empties the list.
  void run(int part, int parts) {
    const std::size_t end = rows_.size() * static_cast<std::size_t>(part + 1) / static_cast<std::size_t>(parts);
    for (; next_ < end; ++next_)
      for (const char* p = rows_[next_].begin; p < rows_[next_].end; p += 64) __builtin_prefetch(p, 0, 2);
    if (part + 1 == parts) {
      rows_.clear();
      next_ = 0;
    }
  }

 private:
  struct Row {
    const char *begin, *end;
  };
  template <class T>
  void add_row(const WinogradGather<T>& g, const T* row) {
    if (row == nullptr) return;
    const int64_t first = std::max<int64_t>(0, g.first), end = std::min(g.depth, g.first + 2 * g.tiles + 2);
    const char* const begin = reinterpret_cast<const char*>(row + first * g.stride);
    // neighbouring runs share rows
    for (std::size_t i = rows_.size(); i > 0 && rows_.size() - i < 8; --i)
      if (rows_[i - 1].begin == begin) return;
    rows_.push_back({begin, reinterpret_cast<const char*>(row + (end - 1) * g.stride + g.channels)});
  }
  std::vector<Row> rows_;
  std::size_t next_ = 0;
};

template <class T>
void gather_block(const Conv3dProblem& p, const Tiling& tiling, const Tiling::Block& block, const Tiling::Block* next,
                  Prefetch& prefetch, PointWeights<T>& u, const T* x, T* y, const PointLayout& in, T* v,
                  const PointLayout& out, T* m) {
  const WinogradTable<T>& table = current_winograd_table<T>();
  const bool w4 = tiling.three(1), d4 = tiling.three(2);
  Offsets v_off(block.runs(), block.depth_tiles, tiling.parts().halo(), in.ld), m_off(block.tiles(), out.ld);
  const PartTaps parts(tiling, block, p.in_channels, in.ld);
  for (int slice = 0; slice < tiling.slices(); ++slice) {
    inputs_to_points(tiling, block, slice, x, in, v, table.input[w4][d4]);
    // slices 1 and 3 meet the planes that the block before did not
    if (next != nullptr && slice % 2 == 0)
      for (int64_t run = next->run_begin; run < next->run_end; ++run)
        prefetch.add(tiling.input(*next, run, std::min(slice + 1, tiling.slices() - 1), x), w4 ? 4 : 1);
    for (int point = 0; point < tiling.points(); ++point) {
      prefetch.run(point, tiling.points());
      current_table<T>().gather_dense({v + point * in.point_stride, u.point(slice * tiling.points() + point),
                                       m + point * out.point_stride, parts.data(), parts.size(), v_off.data(),
                                       m_off.data(), block.tiles(), parts.size() * p.in_channels, 0, 0, p.out_channels,
                                       0, 0, false});
    }
    for (int64_t run = block.run_begin; run < block.run_end; ++run) {
      WinogradScatter<T> g = tiling.output(block, run, slice, y);
      g.from = m + (run - block.run_begin) * block.depth_tiles * out.ld;
      g.ld = out.ld;
      g.point_stride = out.point_stride;
      table.output[w4][d4](g);
    }
  }
}

/// How the sum over blocks is cut in grad_weight: into slabs; by slice and by parts of the output channels, so that the
/// products of a task stay in L2.
struct Split {
  int64_t slabs, slices, parts, part_size;  ///< `slices` are worked on together
};

template <class T>
Split split_of(const Conv3dProblem& p, const Tiling& tiling, int64_t lanes) {
  const int64_t width = round_up(p.out_channels, lanes), budget = int64_t{384} << 10;
  const int64_t slice =
      tiling.points() * tiling.parts().all() * p.in_channels * width * static_cast<int64_t>(sizeof(T));
  const int64_t blocks = ceil_div(p.out_channels, 2 * lanes);
  const int64_t parts = std::clamp<int64_t>(ceil_div(slice, budget), 1, blocks);
  Split s{};
  s.slices = slice * tiling.slices() <= budget ? tiling.slices() : 1;
  s.part_size = ceil_div(blocks, parts) * 2 * lanes;
  s.parts = ceil_div(p.out_channels, s.part_size);
  const int64_t tasks = tiling.slices() / s.slices * s.parts;  // of a slab
  const int64_t by_memory = (int64_t{8} << 20) / (slice * tiling.slices());
  s.slabs = std::clamp<int64_t>(std::min({by_memory, tiling.blocks() / 8, ceil_div(32, tasks)}), 1, 32);
  return s;
}

/// Gradients by point: of slab s, point p, row r at (s * points + p) * point_stride + r * stride; rows are (part of the
/// kernel, input channel).
template <class T>
class PointGradients {
 public:
  PointGradients(const Conv3dProblem& p, const Tiling& tiling, int64_t slabs, int64_t lanes)
      : points_(tiling.slices() * tiling.points()),
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

template <class T>
void weight_blocks(const Conv3dProblem& p, const Tiling& tiling, const Range& range, const T* x, const T* dy,
                   PointGradients<T>& u) {
  const WinogradTable<T>& table = current_winograd_table<T>();
  const int64_t lanes = current_table<T>().lanes, channels = range.co_end - range.co_begin;
  const int points = tiling.points();
  const bool w4 = tiling.three(1), d4 = tiling.three(2);
  const PointLayout in(p.in_channels, tiling.most_input_tiles(), lanes), out(channels, tiling.most_tiles(), lanes);
  memory::Scratch<T> v(points * in.point_stride), e(points * out.point_stride);
  Offsets e_off(tiling.most_tiles(), out.ld);
  const auto gradient = [&](const Tiling::Block& b, int64_t run, int slice) {
    WinogradGather<T> g = tiling.gradient(b, run, slice, dy + range.co_begin);
    g.channels = channels;
    return g;
  };
  for (int64_t i = range.slice_begin * points; i < range.slice_end * points; ++i)
    for (int64_t r = 0; r < tiling.parts().all() * p.in_channels; ++r)
      std::fill_n(u.point(range.slab, i) + r * u.stride() + range.co_begin, channels, T(0));
  Prefetch prefetch;
  for (int64_t b = range.block_begin; b < range.block_end; ++b) {
    const Tiling::Block block = tiling.block(b), next = tiling.block(std::min(b + 1, range.block_end - 1));
    const PartTaps parts(tiling, block, p.in_channels, in.ld);
    Offsets v_off(block.runs(), block.depth_tiles, tiling.parts().halo(), in.ld);
    for (int slice = range.slice_begin; slice < range.slice_end; ++slice) {
      inputs_to_points(tiling, block, slice, x, in, v.data(), table.input[w4][d4]);
      to_points<T>(block, out, e.data(), table.gradient[w4][d4],
                   [&](int64_t run) { return gradient(block, run, slice); });
      for (int64_t run = next.run_begin; run < next.run_end; ++run) {
        prefetch.add(tiling.input(next, run, slice, x), w4 ? 4 : 1);
        prefetch.add(gradient(next, run, slice), w4 ? 2 : 1);
      }
      for (int point = 0; point < points; ++point) {
        prefetch.run(point, points);
        current_table<T>().weight_dense(
            {v.data() + point * in.point_stride, e.data() + point * out.point_stride - range.co_begin,
             u.point(range.slab, slice * points + point), parts.data(), parts.size(), v_off.data(), e_off.data(),
             block.tiles(), u.stride(), range.co_begin, range.co_end, 0, 0});
      }
    }
  }
}

/// Adds up the slabs and turns points into taps.
template <class T>
void finish_weights(const Conv3dProblem& p, const Tiling& tiling, int64_t slabs, PointGradients<T>& u, T* dw) {
  constexpr int64_t chunk = 8;
  const int64_t parts = tiling.parts().all(), tasks = ceil_div(p.in_channels, chunk);
  parallel_for(parts * tasks, [&](int64_t task) {
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
    points_to_taps<T>(tiling, {rows, p.out_channels, u.point(0, 0) + at, u.point_stride(), u.stride()}, of_part.data(),
                      tap, p.out_channels);
    put_part<T>(p, part, row, rows, of_part.data(), dw);
  });
}

}  // namespace

bool applies(const Conv3dProblem& p) {
  bool three = false;
  for (int a = 0; a < 3; ++a) {
    if (p.stride[a] != 1 || p.lhs_dilation[a] != 1) return false;
    if (p.kernel_size[a] != 1 && p.kernel_size[a] != 3 && p.kernel_size[a] != 5) return false;
    three = three || p.kernel_size[a] > 1;
  }
  return three && p.groups == 1;
}

template <class T>
void gather(const Conv3dProblem& p, bool transpose, const T* x, const T* w, T* y) {
  if (has_few_tiles(p, sizeof(T))) return gather_few_tiles(p, transpose, x, w, y);
  const int points = points_of_slice(p);
  const Tiling tiling(p, block_tiles(p, points, sizeof(T)));
  if (tiling.tiles() == 0) return;
  PointWeights<T> u(p, tiling, transpose, w);
  const int64_t lanes = current_table<T>().lanes;
  const PointLayout in(p.in_channels, tiling.most_input_tiles(), lanes),
      out(p.out_channels, tiling.most_tiles(), lanes);
  // consecutive blocks share planes: a task takes some of them
  const int64_t tasks = std::min<int64_t>(tiling.blocks(), 32);
  parallel_for(tasks, [&](int64_t task) {
    memory::Scratch<T> v(points * in.point_stride), m(points * out.point_stride);
    Prefetch prefetch;
    const int64_t end = tiling.blocks() * (task + 1) / tasks;
    for (int64_t b = tiling.blocks() * task / tasks; b < end; ++b) {
      const Tiling::Block next = tiling.block(std::min(b + 1, end - 1));
      gather_block(p, tiling, tiling.block(b), b + 1 < end ? &next : nullptr, prefetch, u, x, y, in, v.data(), out,
                   m.data());
    }
  });
}

template <class T>
void grad_weight(const Conv3dProblem& p, const T* x, const T* dy, T* dw) {
  if (has_few_tiles(p, sizeof(T))) return grad_weight_few_tiles(p, x, dy, dw);
  const Tiling tiling(p, weight_block_tiles(p, points_of_slice(p), sizeof(T)));
  const int64_t lanes = current_table<T>().lanes;
  const Split split = split_of<T>(p, tiling, lanes);
  PointGradients<T> u(p, tiling, split.slabs, lanes);
  const int64_t groups = tiling.slices() / split.slices;
  parallel_for(split.slabs * groups * split.parts, [&](int64_t task) {
    const int64_t part = task % split.parts, group = task / split.parts % groups, slab = task / split.parts / groups;
    const int64_t co_begin = part * split.part_size;
    weight_blocks(p, tiling,
                  {slab, tiling.blocks() * slab / split.slabs, tiling.blocks() * (slab + 1) / split.slabs, co_begin,
                   std::min(p.out_channels, co_begin + split.part_size), static_cast<int>(group * split.slices),
                   static_cast<int>((group + 1) * split.slices)},
                  x, dy, u);
  });
  finish_weights(p, tiling, split.slabs, u, dw);
}

template void gather<float>(const Conv3dProblem&, bool, const float*, const float*, float*);
template void gather<double>(const Conv3dProblem&, bool, const double*, const double*, double*);
template void grad_weight<float>(const Conv3dProblem&, const float*, const float*, float*);
template void grad_weight<double>(const Conv3dProblem&, const double*, const double*, double*);

}  // namespace vg::kernels::winograd
