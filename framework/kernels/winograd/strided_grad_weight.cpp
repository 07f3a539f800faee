// Backward-weights with stride 2. The products per point are summed over blocks of tiles; each task computes one
// partial sum. The sums are transformed to taps once, at the end.
#include <algorithm>
#include <utility>
#include <vector>

#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/base/threads.hpp"
#include "voxgrad/framework/kernels/common/cache.hpp"
#include "voxgrad/framework/kernels/common/kernel_table.hpp"
#include "voxgrad/framework/kernels/common/split_k.hpp"
#include "voxgrad/framework/kernels/winograd/strided.hpp"
#include "voxgrad/framework/kernels/winograd/strided_tiling.hpp"
#include "voxgrad/framework/kernels/winograd/sums.hpp"

namespace vg::kernels::winograd {

namespace {

/// The positions of the products that are summed at each point of w: offsets of tiles of x and dy, product by product.
struct ProductPositions {
  std::vector<int64_t> x, dy;
  std::vector<std::size_t> begin{0};

  ProductPositions(int64_t tiles, const TransformedLayout& in, const TransformedLayout& out) {
    std::vector<std::vector<std::pair<int64_t, int64_t>>> of(w_points);
    each_product([&](int product, int w, int y, int) {
      for (int64_t t = 0; t < tiles; ++t)
        of[static_cast<std::size_t>(w)].emplace_back(product * in.point_stride + t * in.ld,
                                                     y * out.point_stride + t * out.ld);
    });
    for (const auto& list : of) {
      for (const auto& [at_x, at_dy] : list) {
        x.push_back(at_x);
        dy.push_back(at_dy);
      }
      begin.push_back(x.size());
    }
  }
};

/// The number of partial sums over blocks. Together they need at most 8 MiB.
int64_t partials_of(const Conv3dProblem& p, const StridedTiling& tiling, int64_t bytes) {
  const int64_t by_memory = cache::winograd_partial_sums / bytes;
  const int64_t partials = std::clamp<int64_t>(std::min(by_memory, tiling.blocks() / 8), 1, 16);
  return is_small(p) ? 1 : equal_shares(partials);
}

/// The data that the tasks share. Each task has one partial sum.
template <class T>
struct StridedSums {
  const Conv3dProblem& p;
  const StridedTiling tiling;
  const TileTransforms<T>& kernels;
  const int64_t width;
  const TransformedLayout in, out;
  const int64_t point, partial_size, partials;
  memory::Scratch<T> u;
  const ProductPositions whole;
  const PartialSums groups;
  SumsCheck<T> check;

  explicit StridedSums(const Conv3dProblem& problem)
      : p(problem),
        tiling(p, strided_block_tiles(p, sizeof(T))),
        kernels(current_winograd_table<T>().strided),
        width(round_up(p.out_channels, current_table<T>().lanes)),
        in(p.in_channels, tiling.most_tiles(), current_table<T>().lanes),
        out(p.out_channels, tiling.most_tiles(), current_table<T>().lanes),
        point(p.in_channels * width),
        partial_size(w_points * point),
        partials(partials_of(p, tiling, partial_size * static_cast<int64_t>(sizeof(T)))),
        u(partials * partial_size),
        whole(tiling.most_tiles(), in, out),
        groups(partials),
        check(p, strided_shares(), p.in_channels) {}

  /// Adds the sums of the groups (PartialSums) for one input channel and transforms them to taps.
  void finish(int64_t row, T* dw) {
    for (int64_t g = 1; g < groups.count(); ++g)
      for (int64_t i = 0; i < w_points; ++i)
        current_table<T>().accumulate(width, u.data() + groups.begin(g) * partial_size + i * point + row * width,
                                      u.data() + i * point + row * width);
    check.add_points(row, 1, p.out_channels, u.data() + row * width, point, width);
    WeightTransformArgs<const T, T> a{};
    a.w = dw + row * p.out_channels;
    a.tap_stride = p.in_channels * p.out_channels;
    a.row_stride = p.out_channels;
    a.rows = 1;
    a.channels = p.out_channels;
    a.u = u.data() + row * width;
    a.point_stride = point;
    a.u_stride = width;
    kernels.taps(a);
    for (int64_t tap = 0; tap < taps(p); ++tap)
      check.add_tap(row, tap, 1, p.out_channels, a.w + tap * a.tap_stride, p.out_channels);
  }
};

/// Sums the blocks of one partial sum, one after the other.
template <class T>
class StridedPartialSum {
 public:
  StridedPartialSum(StridedSums<T>& of, int64_t partial)
      : of_(of),
        sums_(of.u.data() + partial * of.partial_size),
        begin_(of.tiling.blocks() * partial / of.partials),
        end_(of.tiling.blocks() * (partial + 1) / of.partials),
        v_(x_points * of.in.point_stride),
        e_(y_points * of.out.point_stride),
        ahead_(of.p, of.tiling) {
    std::fill_n(sums_, of.partial_size, T(0));
  }

  void run(const T* x, const T* dy) {
    for (int64_t index = begin_; index < end_; ++index) {
      const auto block = of_.tiling.block(index);
      strided_to_points<T>(block, {of_.in, v_.data()}, of_.kernels.input,
                           [&](int64_t run) { return of_.tiling.input(block, run, x); });
      strided_to_points<T>(block, {of_.out, e_.data()}, of_.kernels.gradient,
                           [&](int64_t run) { return of_.tiling.gradient(block, run, dy); });
      if (index + 1 < end_) {
        ahead_.input(index + 1, x);
        ahead_.gradient(index + 1, dy);
      }
      if (block.tiles() == of_.tiling.most_tiles())
        multiply(of_.whole);
      else
        multiply(ProductPositions(block.tiles(), of_.in, of_.out));
    }
  }

 private:
  void multiply(const ProductPositions& positions) {
    const TapRun tap = {0, of_.p.in_channels, 0};
    for (int i = 0; i < w_points; ++i) {
      ahead_.run(i + 1, w_points);
      const std::size_t first = positions.begin[static_cast<std::size_t>(i)];
      WgradArgs<T> a{};
      a.x = v_.data();
      a.dy = e_.data();
      a.dw = sums_ + i * of_.point;
      a.taps = &tap;
      a.tap_count = 1;
      a.x_indirection = positions.x.data() + first;
      a.y_indirection = positions.dy.data() + first;
      a.positions = static_cast<int64_t>(positions.begin[static_cast<std::size_t>(i) + 1] - first);
      a.dw_stride = of_.width;
      a.co_end = of_.p.out_channels;
      current_table<T>().wgrad(a);
    }
    ahead_.clear();
  }

  StridedSums<T>& of_;
  T* sums_;
  int64_t begin_, end_;
  memory::Scratch<T> v_, e_;
  StridedAhead<T> ahead_;
};

}  // namespace

template <class T>
bool grad_weight_strided(const Conv3dProblem& p, const T* x, const T* dy, T* dw) {
  StridedSums<T> sums(p);
  parallel_for(
      sums.partials, [&](int64_t partial) { StridedPartialSum<T>(sums, partial).run(x, dy); }, is_small(p));
  sums.groups.add(sums.u.data(), sums.partial_size, is_small(p));
  parallel_for(
      p.in_channels, [&](int64_t row) { sums.finish(row, dw); }, is_small(p));
  return sums.check.are_even();
}

template bool grad_weight_strided<float>(const Conv3dProblem&, const float*, const float*, float*);
template bool grad_weight_strided<double>(const Conv3dProblem&, const double*, const double*, double*);

}  // namespace vg::kernels::winograd
