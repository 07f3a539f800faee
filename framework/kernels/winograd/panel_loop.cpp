// A volume of 4^3 to 8^3 voxels with hundreds of channels has tens of tiles and megabytes of weights, and the transform
// makes the weights 2.4 times as large: to write and read them again would take as long as the products. So here all
// tiles are transformed first, and each task owns a panel of at most 2 * lanes output channels. Slice by slice it
// transforms its weights into L2, multiplies all tiles and sums the outputs. In grad_weight a task owns the products of
// some input and output channels at all points, and transforms them to taps at once.
#include "voxgrad/framework/kernels/winograd/panel_loop.hpp"
#include "voxgrad/framework/kernels/common/cache.hpp"

#include <algorithm>

#include "voxgrad/framework/base/threads.hpp"
#include "voxgrad/framework/kernels/common/driver.hpp"
#include "voxgrad/framework/kernels/common/kernel_table.hpp"
#include "voxgrad/framework/kernels/common/pack.hpp"
#include "voxgrad/framework/kernels/winograd/sums.hpp"
#include "voxgrad/framework/kernels/winograd/transformed_layout.hpp"

namespace vg::kernels::winograd {

using std::int64_t;

namespace {

/// One block with all runs. Tiles are f2: long tiles would need 1.5 times as many weights, which are the larger part.
Tiling all_tiles(const Conv3dProblem& p) {
  const Points points(p, WinogradTile::f2);
  return Tiling(p, points, 2 * tiles_of(p, points));
}

/// The transformed values of all tiles; those of a slice begin at point(slice * points per slice).
template <class T>
class AllPoints {
 public:
  AllPoints(const Tiling& tiling, int64_t channels)
      : points_(tiling.points().most(1)),
        layout_(channels, tiling.tiles(), current_table<T>().lanes),
        v_(tiling.points().all() * layout_.point_stride) {}
  /// side(run, slice) returns the InputTransformArgs.
  template <class Kernel, class Side>
  void fill(const Tiling& tiling, const Kernel& kernel, const Side& side) {
    const Tiling::Block all = tiling.block(0);
    parallel_for(all.run_end * tiling.slices(), [&](int64_t task) {
      const int64_t run = task % all.run_end, slice = task / all.run_end;
      const Tiling::Block one = {run, run + 1, all.depth_begin, all.depth_tiles};
      transform_input<T>(one, layout_, point(slice * points_) + run * all.depth_tiles * layout_.ld, kernel,
                         [&](int64_t r) { return side(r, static_cast<int>(slice)); });
    });
  }
  T* point(int64_t index) { return v_.data() + index * layout_.point_stride; }
  int64_t ld() const { return layout_.ld; }

 private:
  int64_t points_;
  TransformedLayout layout_;
  memory::Scratch<T> v_;
};

/// Tiles multiplied at a time: their products stay in L1 and L2.
constexpr int64_t chunk_tiles = 64;

/// The output channels of a task.
struct Panel {
  int64_t co_begin, channels;
};

/// Adds one slice to the outputs of a panel.
template <class T>
void multiply_panel(const Conv3dProblem& p, const Tiling& tiling, int slice, const Panel& panel, AllPoints<T>& v,
                    const T* u, int64_t u_point, T* m, T* y) {
  const Tiling::Block all = tiling.block(0);
  const Points& points = tiling.points();
  const int64_t lanes = current_table<T>().lanes, width = round_up(panel.channels, lanes);
  const int64_t runs = std::max<int64_t>(1, chunk_tiles / all.depth_tiles), most = runs * all.depth_tiles;
  const int64_t m_point = most * width + lanes;
  Offsets v_off(most, v.ld()), m_off(most, width);
  const TapRun row = {0, p.in_channels, 0};
  for (int64_t begin = 0; begin < all.run_end; begin += runs) {
    const int64_t end = std::min(begin + runs, all.run_end), tiles = (end - begin) * all.depth_tiles;
    for (int64_t i = 0; i < points.most(1); ++i)
      current_table<T>().igemm({v.point(slice * points.most(1) + i) + begin * all.depth_tiles * v.ld(), u + i * u_point,
                                m + i * m_point, &row, 1, v_off.data(), m_off.data(), tiles, p.in_channels, 0, 0,
                                panel.channels, 0, 0, false});
    for (int64_t run = begin; run < end; ++run) {
      OutputTransformArgs<T> g = tiling.output(all, run, slice, y + panel.co_begin, p.out_channels);
      g.channels = panel.channels;
      g.from = m + (run - begin) * all.depth_tiles * width;
      g.ld = width;
      g.point_stride = m_point;
      current_winograd_table<T>().of_points(points.along).output(g);
    }
  }
}

}  // namespace

bool panel_loop_applies(const Conv3dProblem& p, int64_t element) {
  if (SubKernels(p).all() > 1) return false;
  const Points square(p, WinogradTile::f2);
  const int64_t tiles = tiles_of(p, square), points = square.all();
  const int64_t weights = points * p.in_channels * p.out_channels * element;
  const int64_t volumes = points * tiles * (p.in_channels + p.out_channels) * element;
  return tiles > 0 && weights > cache::panel_loop_weights && volumes < 2 * weights &&
         volumes <= cache::panel_loop_volumes;
}
bool uses_panel_loop(const Conv3dProblem& p, const Points& points, int64_t element) {
  return !points.has_long_tiles() && !points.has_wide_tiles() && panel_loop_applies(p, element);
}

template <class T>
void data_pass_panel_loop(const Conv3dProblem& p, bool transpose, const T* x, const T* w, T* y) {
  const Tiling tiling = all_tiles(p);
  AllPoints<T> v(tiling, p.in_channels);
  v.fill(tiling, current_winograd_table<T>().of_points(tiling.points().along).input,
         [&](int64_t run, int slice) { return tiling.input(tiling.block(0), run, slice, x, p.in_channels); });
  const Weights<T> from = weights_of(p, w, transpose);
  // one vector of channels if two vectors of taps exceed 1 MiB: every slice reads the taps, which should stay in L2
  const int64_t lanes = current_table<T>().lanes,
                vectors = 2 * lanes * taps(p) * p.in_channels * static_cast<int64_t>(sizeof(T)) > cache::panel_loop_taps
                              ? 1
                              : 2;
  const int64_t width = vectors * lanes, u_point = p.in_channels * width + lanes;
  const int64_t most = std::max(chunk_tiles, tiling.block(0).depth_tiles);
  parallel_for(ceil_div(p.out_channels, width), [&](int64_t task) {
    memory::Scratch<T> u(tiling.points().most(1) * u_point), m(tiling.points().most(1) * (most * width + lanes));
    const int64_t co = task * width, channels = std::min(width, p.out_channels - co);
    for (int slice = 0; slice < tiling.slices(); ++slice) {
      transform_weights<T>(p, tiling, from, transpose,
                           {0, p.in_channels, co, channels, slice, 1, u.data(), u_point, round_up(channels, lanes)});
      multiply_panel<T>(p, tiling, slice, {co, channels}, v, u.data(), u_point, m.data(), y);
    }
  });
}

template <class T>
bool grad_weight_panel_loop(const Conv3dProblem& p, const T* x, const T* dy, T* dw) {
  const Tiling tiling = all_tiles(p);
  const TileTransforms<T>& kernels = current_winograd_table<T>().of_points(tiling.points().along);
  AllPoints<T> v(tiling, p.in_channels), e(tiling, p.out_channels);
  v.fill(tiling, kernels.input,
         [&](int64_t run, int slice) { return tiling.input(tiling.block(0), run, slice, x, p.in_channels); });
  e.fill(tiling, kernels.gradient,
         [&](int64_t run, int slice) { return tiling.gradient(tiling.block(0), run, slice, dy); });
  const int64_t lanes = current_table<T>().lanes, width = 2 * lanes, rows = std::min<int64_t>(32, p.in_channels);
  const int64_t row_parts = ceil_div(p.in_channels, rows), points = tiling.points().all(),
                u_point = rows * width + lanes;
  Offsets v_off(chunk_tiles, v.ld()), e_off(chunk_tiles, e.ld());
  // reading the volumes is cheaper: the check's reads of all sums and taps would take 0.2 of the time
  const bool checked = !has_even_voxels(p.batch * in_volume(p) / p.in_channels, p.in_channels, x) ||
                       !has_even_voxels(p.batch * out_volume(p) / p.out_channels, p.out_channels, dy);
  SumsCheck<T> check(p, shares_of(tiling.points()), ceil_div(p.out_channels, width) * row_parts);
  parallel_for(ceil_div(p.out_channels, width) * row_parts, [&](int64_t task) {
    memory::Scratch<T> u(points * u_point);
    const int64_t row = task % row_parts * rows, n = std::min(rows, p.in_channels - row);
    const int64_t co = task / row_parts * width, channels = std::min(width, p.out_channels - co);
    const TapRun all = {0, n, 0};
    std::fill_n(u.data(), points * u_point, T(0));
    for (int64_t i = 0; i < points; ++i)
      for (int64_t t = 0; t < tiling.tiles(); t += chunk_tiles)
        current_table<T>().wgrad({v.point(i) + t * v.ld() + row, e.point(i) + t * e.ld() + co, u.data() + i * u_point,
                                  &all, 1, v_off.data(), e_off.data(), std::min(chunk_tiles, tiling.tiles() - t), width,
                                  0, channels, 0, 0});
    if (checked) check.add_points(task, n, channels, u.data(), u_point, width);
    inverse_transform_wgrad<T>(tiling, {n, channels, u.data(), u_point, width}, dw + row * p.out_channels + co,
                               p.in_channels * p.out_channels, p.out_channels);
    for (int64_t tap = 0; checked && tap < taps(p); ++tap)
      check.add_tap(task, tap, n, channels, dw + (tap * p.in_channels + row) * p.out_channels + co, p.out_channels);
  });
  return !checked || check.are_even();
}

template void data_pass_panel_loop<float>(const Conv3dProblem&, bool, const float*, const float*, float*);
template void data_pass_panel_loop<double>(const Conv3dProblem&, bool, const double*, const double*, double*);
template bool grad_weight_panel_loop<float>(const Conv3dProblem&, const float*, const float*, float*);
template bool grad_weight_panel_loop<double>(const Conv3dProblem&, const double*, const double*, double*);

}  // namespace vg::kernels::winograd
