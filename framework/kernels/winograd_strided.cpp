// As in winograd.cpp, tasks take blocks of tiles: to points, products by point, and back. But a point's products are
// sums over several of x's and w's (or of dy's): a list of taps, or of positions, for the direct bodies.
#include "framework/kernels/winograd_strided.hpp"

#include <algorithm>
#include <vector>

#include "framework/kernels/driver.hpp"
#include "framework/kernels/kernel_table.hpp"
#include "framework/kernels/winograd_points.hpp"
#include "framework/kernels/winograd_prefetch.hpp"
#include "framework/kernels/winograd_table.hpp"
#include "framework/kernels/winograd_weights.hpp"
#include "framework/memory.hpp"
#include "framework/threads.hpp"

namespace vg::kernels::winograd {

using std::int64_t;

namespace {

constexpr int x_points = 125, y_points = 27, w_points = 64, dilated_points = 64;

/// The products along an axis: product i is of x's point i, and of these of w and y.
constexpr int w_of[5] = {0, 1, 2, 3, 3}, y_of[5] = {0, 1, 2, 0, 2};
/// With an input dilation, products of the input's points.
constexpr int input_of[5] = {0, 1, 2, 1, 3};

/// f(product, its point of w, of y, of a dilated input), all of three axes, for all 125.
template <class F>
void each_product(const F& f) {
  for (int h = 0; h < 5; ++h)
    for (int w = 0; w < 5; ++w)
      for (int d = 0; d < 5; ++d)
        f((h * 5 + w) * 5 + d, (w_of[h] * 4 + w_of[w]) * 4 + w_of[d], (y_of[h] * 3 + y_of[w]) * 3 + y_of[d],
          (input_of[h] * 4 + input_of[w]) * 4 + input_of[d]);
}

bool is_dilated(const Conv3dProblem& p) { return p.lhs_dilation[0] == 2; }

/// Outputs of a tile along an axis.
int64_t tile_outputs(const Conv3dProblem& p) { return is_dilated(p) ? 4 : 2; }

/// Outputs before the first one that a tile may begin with: an input meets the even ones from there on.
int64_t shift_of(const Conv3dProblem& p, int axis) { return is_dilated(p) ? p.pad[axis] & 1 : 0; }

int64_t tiles_along(const Conv3dProblem& p, int axis) {
  return ceil_div(p.out_size[axis] + shift_of(p, axis), tile_outputs(p));
}

/// Blocks of runs of tiles along D, ordered by sample, H and W.
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

  /// The sides of a run; `to`, `from` and their strides are left to the caller.
  template <class T>
  WinogradGather<T> input(const Block& b, int64_t run, const T* x) const {
    const int64_t step = is_dilated(p_) ? 2 : 4;
    int64_t first[3];
    for (int a = 0; a < 3; ++a) first[a] = is_dilated(p_) ? -(p_.pad[a] + shift_of(p_, a)) / 2 : -p_.pad[a];
    return side(b, run, x, is_dilated(p_) ? 3 : 5, step, first, p_.in_size, p_.in_channels);
  }
  template <class T>
  WinogradGather<T> gradient(const Block& b, int64_t run, const T* dy) const {
    const int64_t first[3] = {0, 0, 0};
    return side(b, run, dy, 2, 2, first, p_.out_size, p_.out_channels);
  }
  template <class T>
  WinogradScatter<T> output(const Block& b, int64_t run, T* y) const {
    const Place at = place(run);
    WinogradScatter<T> g{};
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
  struct Place {
    int64_t sample, h, w;  // tiles
  };
  Place place(int64_t run) const {
    return {run / (tiles_[0] * tiles_[1]), run / tiles_[1] % tiles_[0], run % tiles_[1]};
  }
  /// Null outside.
  template <class T>
  static T* row(T* volume, int64_t sample, int64_t h, int64_t w, const int64_t (&size)[3], int64_t channels) {
    if (h < 0 || h >= size[0] || w < 0 || w >= size[1]) return nullptr;
    return volume + ((sample * size[0] + h) * size[1] + w) * size[2] * channels;
  }
  template <class T>
  WinogradGather<T> side(const Block& b, int64_t run, const T* volume, int rows, int64_t step,
                         const int64_t (&first)[3], const int64_t (&size)[3], int64_t channels) const {
    const Place at = place(run);
    WinogradGather<T> g{};
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

/// Tiles of a block: less than half of L2 for both sides' points.
int64_t block_tiles(const Conv3dProblem& p, std::size_t element) {
  const int64_t in = is_dilated(p) ? dilated_points : x_points, out = is_dilated(p) ? x_points : y_points;
  const int64_t bytes = (in * p.in_channels + out * p.out_channels) * static_cast<int64_t>(element);
  return std::clamp<int64_t>((int64_t{400} << 10) / bytes, 8, 32);
}

/// Weights by point, as gather_dense wants a block's: 64 points of in_channels rows.
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
        WinogradWeights<T, const T> a{};
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

/// The products of a block: those of output point i are convolutions over the tiles with the taps [begin[i],
/// begin[i + 1]).
struct ProductTaps {
  std::vector<Tap> taps;
  std::vector<std::size_t> begin{0};

  ProductTaps(const Conv3dProblem& p, int64_t point_stride) {
    const int outs = is_dilated(p) ? x_points : y_points;
    std::vector<std::vector<Tap>> of(static_cast<std::size_t>(outs));
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

template <class T>
struct Side {
  const PointLayout& layout;
  T* points;
};

/// A block to points.
template <class T, class Run>
void to_points(const StridedTiling::Block& b, const Side<T>& to, void (*kernel)(const WinogradGather<T>&),
               const Run& run_of) {
  for (int64_t run = b.run_begin; run < b.run_end; ++run) {
    WinogradGather<T> g = run_of(run);
    g.to = to.points + (run - b.run_begin) * b.depth_tiles * to.layout.ld;
    g.ld = to.layout.ld;
    g.point_stride = to.layout.point_stride;
    kernel(g);
  }
}

/// To the rows of outputs of a run.
template <class T>
void apply(const Epilogue<T>& epilogue, int64_t task, const WinogradScatter<T>& g, int64_t outputs, const T* y) {
  const int64_t first = std::max<int64_t>(0, g.first), end = std::min(g.depth, g.first + g.tiles * outputs);
  for (int64_t h = 0; h < outputs; ++h)
    for (int64_t w = 0; w < outputs; ++w)
      if (T* const row = g.y[h][w]; row != nullptr)
        epilogue.apply(task, (row - y) / g.channels + first, end - first, row + first * g.channels);
}

/// What the next block reads is asked for during this one's products.
template <class T>
class Ahead {
 public:
  Ahead(const Conv3dProblem& p, const StridedTiling& tiling)
      : tiling_(tiling), step_(is_dilated(p) ? 2 : 4), prefetch_(Points(p, Tiles::square)) {}
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

template <class T>
bool gather_strided(const Conv3dProblem& p, bool transpose, const T* x, const T* w, T* y, const Epilogue<T>& epilogue) {
  const StridedTiling tiling(p, block_tiles(p, sizeof(T)));
  const WinogradStrided<T>& kernels = current_winograd_table<T>().strided;
  const int64_t lanes = current_table<T>().lanes;
  const PointLayout in(p.in_channels, tiling.most_tiles(), lanes), out(p.out_channels, tiling.most_tiles(), lanes);
  const ProductTaps products(p, in.point_stride);
  StridedWeights<T> u(p, transpose, w);
  const int in_points = is_dilated(p) ? dilated_points : x_points, out_points = is_dilated(p) ? x_points : y_points;
  const int64_t tasks = std::min<int64_t>(tiling.blocks(), 32);
  const bool stream = !epilogue.any() && should_stream(p, y);
  if (epilogue.any()) epilogue.begin(tasks);
  parallel_for(
      tasks,
      [&](int64_t task) {
        memory::Scratch<T> v(in_points * in.point_stride), m(out_points * out.point_stride);
        Offsets v_off(tiling.most_tiles(), in.ld), m_off(tiling.most_tiles(), out.ld);
        Ahead<T> ahead(p, tiling);
        const int64_t end = tiling.blocks() * (task + 1) / tasks;
        for (int64_t index = tiling.blocks() * task / tasks; index < end; ++index) {
          const auto block = tiling.block(index);
          to_points<T>(block, {in, v.data()}, is_dilated(p) ? kernels.dilated_input : kernels.input,
                       [&](int64_t run) { return tiling.input(block, run, x); });
          if (index + 1 < end) ahead.input(index + 1, x);
          for (int i = 0; i < out_points; ++i) {
            ahead.run(i + 1, out_points);
            const std::size_t first = products.begin[static_cast<std::size_t>(i)];
            GatherArgs<T> a{};
            a.x = v.data();
            a.w = u.data();
            a.y = m.data() + i * out.point_stride;
            a.taps = products.taps.data() + first;
            a.tap_count = static_cast<int64_t>(products.begin[static_cast<std::size_t>(i) + 1] - first);
            a.x_off = v_off.data();
            a.y_off = m_off.data();
            a.positions = block.tiles();
            a.w_rows = w_points * p.in_channels;
            a.co_end = p.out_channels;
            current_table<T>().gather_dense(a);
          }
          ahead.clear();
          for (int64_t run = block.run_begin; run < block.run_end; ++run) {
            WinogradScatter<T> g = tiling.output(block, run, y);
            g.from = m.data() + (run - block.run_begin) * block.depth_tiles * out.ld;
            g.ld = out.ld;
            g.point_stride = out.point_stride;
            g.stream = stream;
            (is_dilated(p) ? kernels.dilated_output : kernels.output)(g);
            if (epilogue.any()) apply<T>(epilogue, task, g, tile_outputs(p), y);
          }
        }
        if (stream) current_winograd_table<T>().stream_end();
      },
      is_small(p));
  return true;
}

namespace {

/// Positions of products that make a point of w: x's and dy's tiles, product after product.
struct ProductPositions {
  std::vector<int64_t> x, dy;
  std::vector<std::size_t> begin{0};

  ProductPositions(int64_t tiles, const PointLayout& in, const PointLayout& out) {
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

/// Slabs of blocks, each with sums of its own: some MB of them at most.
int64_t slabs_of(const Conv3dProblem& p, const StridedTiling& tiling, int64_t bytes) {
  const int64_t by_memory = (int64_t{8} << 20) / bytes;
  const int64_t slabs = std::clamp<int64_t>(std::min(by_memory, tiling.blocks() / 8), 1, 16);
  return is_small(p) ? 1 : slabs > 4 ? slabs - slabs % 4 : slabs;  // equal shares for two and four threads
}

}  // namespace

template <class T>
void grad_weight_strided(const Conv3dProblem& p, const T* x, const T* dy, T* dw) {
  const StridedTiling tiling(p, block_tiles(p, sizeof(T)));
  const WinogradStrided<T>& kernels = current_winograd_table<T>().strided;
  const int64_t lanes = current_table<T>().lanes, width = round_up(p.out_channels, lanes);
  const PointLayout in(p.in_channels, tiling.most_tiles(), lanes), out(p.out_channels, tiling.most_tiles(), lanes);
  const int64_t point = p.in_channels * width, slab_size = w_points * point;
  const int64_t slabs = slabs_of(p, tiling, slab_size * static_cast<int64_t>(sizeof(T)));
  memory::Scratch<T> u(slabs * slab_size);
  const ProductPositions whole(tiling.most_tiles(), in, out);
  const Tap tap = {0, p.in_channels, 0};
  parallel_for(
      slabs,
      [&](int64_t slab) {
        T* const sums = u.data() + slab * slab_size;
        std::fill_n(sums, slab_size, T(0));
        memory::Scratch<T> v(x_points * in.point_stride), e(y_points * out.point_stride);
        Ahead<T> ahead(p, tiling);
        const int64_t end = tiling.blocks() * (slab + 1) / slabs;
        for (int64_t index = tiling.blocks() * slab / slabs; index < end; ++index) {
          const auto block = tiling.block(index);
          to_points<T>(block, {in, v.data()}, kernels.input, [&](int64_t run) { return tiling.input(block, run, x); });
          to_points<T>(block, {out, e.data()}, kernels.gradient,
                       [&](int64_t run) { return tiling.gradient(block, run, dy); });
          if (index + 1 < end) {
            ahead.input(index + 1, x);
            ahead.gradient(index + 1, dy);
          }
          const bool is_whole = block.tiles() == tiling.most_tiles();
          const ProductPositions part(is_whole ? 0 : block.tiles(), in, out);
          const ProductPositions& positions = is_whole ? whole : part;
          for (int i = 0; i < w_points; ++i) {
            ahead.run(i + 1, w_points);
            const std::size_t first = positions.begin[static_cast<std::size_t>(i)];
            WeightArgs<T> a{};
            a.x = v.data();
            a.dy = e.data();
            a.dw = sums + i * point;
            a.taps = &tap;
            a.tap_count = 1;
            a.x_off = positions.x.data() + first;
            a.y_off = positions.dy.data() + first;
            a.positions = static_cast<int64_t>(positions.begin[static_cast<std::size_t>(i) + 1] - first);
            a.dw_stride = width;
            a.co_end = p.out_channels;
            current_table<T>().weight_dense(a);
          }
          ahead.clear();
        }
      },
      is_small(p));
  parallel_for(
      p.in_channels,
      [&](int64_t row) {
        for (int64_t s = 1; s < slabs; ++s)
          for (int64_t i = 0; i < w_points; ++i)
            current_table<T>().accumulate(width, u.data() + s * slab_size + i * point + row * width,
                                          u.data() + i * point + row * width);
        WinogradWeights<const T, T> a{};
        a.w = dw + row * p.out_channels;
        a.tap_stride = p.in_channels * p.out_channels;
        a.row_stride = p.out_channels;
        a.rows = 1;
        a.channels = p.out_channels;
        a.u = u.data() + row * width;
        a.point_stride = point;
        a.u_stride = width;
        kernels.taps(a);
      },
      is_small(p));
}

template bool gather_strided<float>(const Conv3dProblem&, bool, const float*, const float*, float*,
                                    const Epilogue<float>&);
template bool gather_strided<double>(const Conv3dProblem&, bool, const double*, const double*, double*,
                                     const Epilogue<double>&);
template void grad_weight_strided<float>(const Conv3dProblem&, const float*, const float*, float*);
template void grad_weight_strided<double>(const Conv3dProblem&, const double*, const double*, double*);

}  // namespace vg::kernels::winograd
