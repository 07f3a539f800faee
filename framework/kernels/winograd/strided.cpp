// As in winograd.cpp, each task works on blocks of tiles: it transforms inputs, multiplies per point and transforms
// products to outputs. In contrast to winograd.cpp, the product at a point of y is a sum over several pairs of points
// of x and w, so igemm receives a list of taps per point.
#include "voxgrad/framework/kernels/winograd/strided.hpp"

#include <algorithm>
#include <vector>

#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/base/threads.hpp"
#include "voxgrad/framework/kernels/common/kernel_table.hpp"
#include "voxgrad/framework/kernels/winograd/strided_tiling.hpp"
#include "voxgrad/framework/kernels/winograd/weights.hpp"

namespace vg::kernels::winograd {

using std::int64_t;

namespace {

/// The transformed weights in the packed layout of igemm: per block 64 points with in_channels rows each.
template <class T>
class StridedWeights {
 public:
  StridedWeights(const Conv3dProblem& p, bool transpose, const T* w)
      : lanes_(current_table<T>().lanes), u_(w_points * p.in_channels * round_up(p.out_channels, lanes_)) {
    const Weights<T> from = weights_of(p, w, transpose);
    const int64_t in = p.in_channels, out = p.out_channels, width = round_up(out, lanes_);
    const WinogradTable<T>& table = current_winograd_table<T>();
    memory::Scratch<T> turned(transpose ? taps(p) * round_up(in, lanes_) * width : 0);
    const int64_t turned_tap = round_up(in, lanes_) * width;
    parallel_for(ceil_div(in, lanes_), [&](int64_t chunk) {
      const int64_t row = chunk * lanes_, rows = std::min(lanes_, in - row);
      memory::Scratch<T> square(transpose ? lanes_ * lanes_ : 0);
      for (int64_t t = 0; transpose && t < taps(p); ++t)
        for (int64_t c = 0; c < width; c += lanes_) {
          table.transpose(from.origin + t * from.tap_stride + c * from.co_stride + row, from.co_stride, rows,
                          std::min(lanes_, out - c), square.data());
          for (int64_t r = 0; r < rows; ++r)
            std::copy_n(square.data() + r * lanes_, lanes_, turned.data() + t * turned_tap + (row + r) * width + c);
        }
      for (int64_t c = 0; c < width; c += 2 * lanes_) {
        WeightTransformArgs<T, const T> a{};
        a.w = transpose ? turned.data() + row * width + c : from.origin + row * from.ci_stride + c;
        a.tap_stride = transpose ? turned_tap : from.tap_stride;
        a.row_stride = transpose ? width : from.ci_stride;
        a.rows = rows;
        a.channels = std::min(2 * lanes_, out - c);
        a.width = a.u_stride = std::min(2 * lanes_, width - c);
        a.u = u_.data() + c * w_points * in + row * a.u_stride;
        a.point_stride = in * a.u_stride;
        table.strided.weights(a);
      }
    });
  }
  const T* data() { return u_.data(); }

 private:
  int64_t lanes_;
  memory::Scratch<T> u_;
};

/// The products of a block: output point i is a convolution over the tiles with the taps [begin[i], begin[i + 1]).
struct ProductTaps {
  std::vector<TapRun> taps;
  std::vector<std::size_t> begin{0};

  ProductTaps(const Conv3dProblem& p, int64_t point_stride) {
    const int outs = is_dilated(p) ? x_points : y_points;
    std::vector<std::vector<TapRun>> of(static_cast<std::size_t>(outs));
    each_product([&](int product, int w, int y, int input) {
      const int from = is_dilated(p) ? input : product, to = is_dilated(p) ? product : y;
      of[static_cast<std::size_t>(to)].push_back({from * point_stride, p.in_channels, w * p.in_channels});
    });
    for (const auto& list : of) {
      taps.insert(taps.end(), list.begin(), list.end());
      begin.push_back(taps.size());
    }
  }
};

/// Applies the epilogue to the rows of outputs of a run.
template <class T>
void apply(const Epilogue<T>& epilogue, int64_t task, const OutputTransformArgs<T>& g, int64_t outputs, const T* y) {
  const int64_t first = std::max<int64_t>(0, g.first), end = std::min(g.depth, g.first + g.tiles * outputs);
  for (int64_t h = 0; h < outputs; ++h)
    for (int64_t w = 0; w < outputs; ++w)
      if (T* const row = g.y[h][w]; row != nullptr)
        epilogue.apply(task, (row - y) / g.channels + first, end - first, row + first * g.channels);
}

}  // namespace

bool is_strided(const Conv3dProblem& p, Pass pass) {
  if (p.groups != 1) return false;
  for (int a = 0; a < 3; ++a)
    if (p.kernel_size[a] != 3 || p.rhs_dilation[a] != 1) return false;
  const auto all = [](const int64_t(&v)[3], int64_t n) { return v[0] == n && v[1] == n && v[2] == n; };
  if (all(p.stride, 2)) return all(p.lhs_dilation, 1);
  return pass != Pass::grad_weight && all(p.stride, 1) && all(p.lhs_dilation, 2);
}

int64_t strided_tiles(const Conv3dProblem& p) {
  return p.batch * tiles_along(p, 0) * tiles_along(p, 1) * tiles_along(p, 2);
}

namespace {

/// The data that the tasks of a data pass share.
template <class T>
struct StridedDataPass {
  const Conv3dProblem& p;
  const StridedTiling tiling;
  const TileTransforms<T>& kernels;
  const TransformedLayout in, out;
  const ProductTaps products;
  StridedWeights<T> u;
  const int in_points, out_points;

  StridedDataPass(const Conv3dProblem& problem, bool transpose, const T* w)
      : p(problem),
        tiling(p, strided_block_tiles(p, sizeof(T))),
        kernels(is_dilated(p) ? current_winograd_table<T>().dilated : current_winograd_table<T>().strided),
        in(p.in_channels, tiling.most_tiles(), current_table<T>().lanes),
        out(p.out_channels, tiling.most_tiles(), current_table<T>().lanes),
        products(p, in.point_stride),
        u(p, transpose, w),
        in_points(is_dilated(p) ? dilated_points : x_points),
        out_points(is_dilated(p) ? x_points : y_points) {}
};

/// Computes the blocks of one task of a data pass, one after the other.
template <class T>
class StridedDataPassBlocks {
 public:
  explicit StridedDataPassBlocks(StridedDataPass<T>& of)
      : of_(of),
        v_(of.in_points * of.in.point_stride),
        m_(of.out_points * of.out.point_stride),
        v_off_(of.tiling.most_tiles(), of.in.ld),
        m_off_(of.tiling.most_tiles(), of.out.ld),
        ahead_(of.p, of.tiling) {}

  /// Calls done(g) when the outputs of a run, whose addresses are in g, have been written.
  template <class Done>
  void run(int64_t begin, int64_t end, const T* x, T* y, bool stream, const Done& done) {
    for (int64_t index = begin; index < end; ++index) {
      const auto block = of_.tiling.block(index);
      strided_to_points<T>(block, {of_.in, v_.data()}, of_.kernels.input,
                           [&](int64_t run) { return of_.tiling.input(block, run, x); });
      if (index + 1 < end) ahead_.input(index + 1, x);
      multiply(block.tiles());
      for (int64_t run = block.run_begin; run < block.run_end; ++run) {
        OutputTransformArgs<T> g = of_.tiling.output(block, run, y);
        g.from = m_.data() + (run - block.run_begin) * block.depth_tiles * of_.out.ld;
        g.ld = of_.out.ld;
        g.point_stride = of_.out.point_stride;
        g.stream = stream;
        of_.kernels.output(g);
        done(g);
      }
    }
  }

 private:
  void multiply(int64_t tiles) {
    for (int i = 0; i < of_.out_points; ++i) {
      ahead_.run(i + 1, of_.out_points);
      const std::size_t first = of_.products.begin[static_cast<std::size_t>(i)];
      IgemmArgs<T> a{};
      a.x = v_.data();
      a.w = of_.u.data();
      a.y = m_.data() + i * of_.out.point_stride;
      a.taps = of_.products.taps.data() + first;
      a.tap_count = static_cast<int64_t>(of_.products.begin[static_cast<std::size_t>(i) + 1] - first);
      a.x_indirection = v_off_.data();
      a.y_indirection = m_off_.data();
      a.positions = tiles;
      a.w_rows = w_points * of_.p.in_channels;
      a.co_end = of_.p.out_channels;
      current_table<T>().igemm(a);
    }
    ahead_.clear();
  }

  StridedDataPass<T>& of_;
  memory::Scratch<T> v_, m_;
  Offsets v_off_, m_off_;
  StridedAhead<T> ahead_;
};

}  // namespace

template <class T>
bool data_pass_strided(const Conv3dProblem& p, bool transpose, const T* x, const T* w, T* y,
                       const Epilogue<T>& epilogue) {
  StridedDataPass<T> pass(p, transpose, w);
  const int64_t blocks = pass.tiling.blocks(), tasks = std::min<int64_t>(blocks, 32);
  const bool stream = !epilogue.any() && should_stream(p, y);
  if (epilogue.any()) epilogue.begin(tasks);
  parallel_for(
      tasks,
      [&](int64_t task) {
        StridedDataPassBlocks<T>(pass).run(blocks * task / tasks, blocks * (task + 1) / tasks, x, y, stream,
                                           [&](const OutputTransformArgs<T>& g) {
                                             if (epilogue.any()) apply<T>(epilogue, task, g, tile_outputs(p), y);
                                           });
        if (stream) current_winograd_table<T>().stream_end();
      },
      is_small(p));
  return true;
}

template bool data_pass_strided<float>(const Conv3dProblem&, bool, const float*, const float*, float*,
                                       const Epilogue<float>&);
template bool data_pass_strided<double>(const Conv3dProblem&, bool, const double*, const double*, double*,
                                        const Epilogue<double>&);

}  // namespace vg::kernels::winograd
