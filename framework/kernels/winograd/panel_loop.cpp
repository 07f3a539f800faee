// A volume of 4^3 to 8^3 voxels with hundreds of channels has tens of tiles and megabytes of weights, and the transform
// makes the weights 2.4 times as large: to write and read them again would take as long as the products. So here all
// tiles are transformed first, and each task owns a panel of at most 2 * lanes output channels. Slice by slice it
// transforms its weights into L2, multiplies all tiles and sums the outputs. In grad_weight a task owns the products of
// some input and output channels at all points, and transforms them to taps at once.
#include <algorithm>

#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/base/threads.hpp"
#include "voxgrad/framework/kernels/common/cache.hpp"
#include "voxgrad/framework/kernels/common/driver.hpp"
#include "voxgrad/framework/kernels/common/kernel_table.hpp"
#include "voxgrad/framework/kernels/winograd/checks.hpp"
#include "voxgrad/framework/kernels/winograd/layout.hpp"
#include "voxgrad/framework/kernels/winograd/loops.hpp"
#include "voxgrad/framework/kernels/winograd/tiling.hpp"
#include "voxgrad/framework/kernels/winograd/weights.hpp"

namespace vg::kernels::winograd {

using std::int64_t;

namespace {

/// One block with all runs.
Tiling all_tiles(const Conv3dProblem& p, const Scheme& scheme) { return Tiling(p, scheme, 2 * tiles_of(p, scheme)); }

/// Transforms all tiles to v; side(run, slice) returns the arguments of a run.
template <class T, class Kernel, class Side>
void transform_all(const Tiling& tiling, const TransformedLayout& layout, T* v, const Kernel& kernel,
                   const Side& side) {
  const Tiling::Block all = tiling.block(0);
  parallel_for(all.run_end * tiling.scheme().slices(), [&](int64_t task) {
    const int64_t run = task % all.run_end, slice = task / all.run_end;
    const Tiling::Block one = {run, run + 1, all.depth_begin, all.depth_tiles};
    T* const to = v + slice * tiling.scheme().most(1) * layout.point_stride + run * all.depth_tiles * layout.ld;
    transform_input<T>(one, layout, to, kernel, [&](int64_t r) { return side(r, static_cast<int>(slice)); });
  });
}

/// Tiles multiplied at a time: their products stay in L1 and L2.
constexpr int64_t chunk_tiles = 64;

/// Adds one slice to the outputs of a panel, the channels from y on. v has the transformed tiles of the slice.
template <class T>
void multiply_panel(const Conv3dProblem& p, const Tiling& tiling, int slice, int64_t channels, const T* v,
                    const TransformedLayout& layout, const T* u, int64_t u_point, T* m, T* y) {
  const Tiling::Block all = tiling.block(0);
  const int64_t points = tiling.scheme().most(1), width = round_up(channels, current_table<T>().lanes);
  const int64_t runs = std::max<int64_t>(1, chunk_tiles / all.depth_tiles), most = runs * all.depth_tiles;
  const int64_t m_point = most * width + current_table<T>().lanes;
  memory::Scratch<int64_t> v_off(most), m_off(most);
  fill_offsets(v_off.data(), 1, most, 0, layout.ld);
  fill_offsets(m_off.data(), 1, most, 0, width);
  const TapRun row = {0, p.in_channels, 0};
  for (int64_t begin = 0; begin < all.run_end; begin += runs) {
    const int64_t end = std::min(begin + runs, all.run_end);
    for (int64_t i = 0; i < points; ++i)
      current_table<T>().igemm({.x = v + i * layout.point_stride + begin * all.depth_tiles * layout.ld,
                                .w = u + i * u_point,
                                .y = m + i * m_point,
                                .taps = &row,
                                .tap_count = 1,
                                .x_indirection = v_off.data(),
                                .y_indirection = m_off.data(),
                                .positions = (end - begin) * all.depth_tiles,
                                .w_rows = p.in_channels,
                                .co_end = channels});
    for (int64_t run = begin; run < end; ++run) {
      OutputTransformArgs<T> g = tiling.output(all, run, slice, y, p.out_channels);
      g.channels = channels;
      g.from = m + (run - begin) * all.depth_tiles * width;
      g.ld = width;
      g.point_stride = m_point;
      transforms_of(current_winograd_table<T>(), tiling.scheme()).output(g);
    }
  }
}

}  // namespace

bool uses_panel_loop(const Conv3dProblem& p, const Scheme& scheme, int64_t element) {
  if (scheme.spreads() || scheme.strided || scheme.all_subkernels() > 1) return false;
  const int64_t tiles = tiles_of(p, scheme), points = scheme.all();
  const int64_t weights = points * p.in_channels * p.out_channels * element;
  const int64_t volumes = points * tiles * (p.in_channels + p.out_channels) * element;
  return tiles > 0 && weights > cache::panel_loop_weights && volumes < 2 * weights &&
         volumes <= cache::panel_loop_volumes;
}

template <class T>
void data_pass_by_panels(const Conv3dProblem& p, const Scheme& scheme, bool transpose, const T* x, const T* w, T* y,
                         const Epilogue<T>& epilogue) {
  const Tiling tiling = all_tiles(p, scheme);
  const int64_t lanes = current_table<T>().lanes, points = scheme.most(1);
  const TransformedLayout layout(p.in_channels, tiling.tiles(), lanes);
  memory::Scratch<T> v(scheme.all() * layout.point_stride);
  transform_all(tiling, layout, v.data(), transforms_of(current_winograd_table<T>(), scheme).input,
                [&](int64_t run, int slice) { return tiling.input(tiling.block(0), run, slice, x, p.in_channels); });
  const Weights<T> from = weights_of(p, w, transpose);
  // one vector of channels if two vectors of taps exceed 1 MiB: every slice reads the taps, which should stay in L2
  const int64_t two = 2 * lanes * taps(p) * p.in_channels * static_cast<int64_t>(sizeof(T));
  const int64_t width = (two > cache::panel_loop_taps ? 1 : 2) * lanes, u_point = p.in_channels * width + lanes;
  const int64_t most = std::max(chunk_tiles, tiling.block(0).depth_tiles);
  parallel_for(ceil_div(p.out_channels, width), [&](int64_t task) {
    memory::Scratch<T> u(points * u_point), m(points * (most * width + lanes));
    const int64_t co = task * width, channels = std::min(width, p.out_channels - co);
    Weights<T> panel = from;
    panel.origin += co * from.co_stride;
    WeightTransformArgs<T, const T> to{};
    to.rows = p.in_channels;
    to.channels = channels;
    to.u = u.data();
    to.point_stride = u_point;
    to.u_stride = round_up(channels, lanes);
    to.slices = 1;
    for (int slice = 0; slice < scheme.slices(); ++slice) {
      to.slice = slice;
      transform_weights<T>(p, scheme, panel, transpose, to);
      multiply_panel<T>(p, tiling, slice, channels, v.data() + slice * points * layout.point_stride, layout, u.data(),
                        u_point, m.data(), y + co);
    }
  });
  epilogue.pass(outputs(p), p.out_channels, y);
}

template <class T>
bool grad_weight_by_panels(const Conv3dProblem& p, const Scheme& scheme, const T* x, const T* dy, T* dw) {
  const Tiling tiling = all_tiles(p, scheme);
  const auto& kernels = transforms_of(current_winograd_table<T>(), scheme);
  const int64_t lanes = current_table<T>().lanes, points = scheme.all();
  const TransformedLayout in(p.in_channels, tiling.tiles(), lanes), out(p.out_channels, tiling.tiles(), lanes);
  memory::Scratch<T> v(points * in.point_stride), e(points * out.point_stride);
  transform_all(tiling, in, v.data(), kernels.input,
                [&](int64_t run, int slice) { return tiling.input(tiling.block(0), run, slice, x, p.in_channels); });
  transform_all(tiling, out, e.data(), kernels.gradient,
                [&](int64_t run, int slice) { return tiling.gradient(tiling.block(0), run, slice, dy); });
  const int64_t width = 2 * lanes, rows = std::min<int64_t>(32, p.in_channels);
  const int64_t row_parts = ceil_div(p.in_channels, rows), u_point = rows * width + lanes;
  memory::Scratch<int64_t> v_off(chunk_tiles), e_off(chunk_tiles);
  fill_offsets(v_off.data(), 1, chunk_tiles, 0, in.ld);
  fill_offsets(e_off.data(), 1, chunk_tiles, 0, out.ld);
  // reading the volumes is cheaper: the check's reads of all sums and taps would take 0.2 of the time
  const bool checked = !has_even_voxels(p.batch * in_volume(p) / p.in_channels, p.in_channels, x) ||
                       !has_even_voxels(p.batch * out_volume(p) / p.out_channels, p.out_channels, dy);
  SumsCheck<T> check(p, scheme, ceil_div(p.out_channels, width) * row_parts);
  parallel_for(ceil_div(p.out_channels, width) * row_parts, [&](int64_t task) {
    memory::Scratch<T> u(points * u_point);
    const int64_t row = task % row_parts * rows, n = std::min(rows, p.in_channels - row);
    const int64_t co = task / row_parts * width, channels = std::min(width, p.out_channels - co);
    const TapRun all = {0, n, 0};
    std::fill_n(u.data(), points * u_point, T(0));
    for (int64_t i = 0; i < points; ++i)
      for (int64_t t = 0; t < tiling.tiles(); t += chunk_tiles)
        current_table<T>().wgrad({.x = v.data() + i * in.point_stride + t * in.ld + row,
                                  .dy = e.data() + i * out.point_stride + t * out.ld + co,
                                  .dw = u.data() + i * u_point,
                                  .taps = &all,
                                  .tap_count = 1,
                                  .x_indirection = v_off.data(),
                                  .y_indirection = e_off.data(),
                                  .positions = std::min(chunk_tiles, tiling.tiles() - t),
                                  .dw_stride = width,
                                  .co_begin = 0,
                                  .co_end = channels});
    if (checked) check.add_points(task, n, channels, u.data(), u_point, width);
    WeightTransformArgs<const T, T> a{};
    a.w = dw + row * p.out_channels + co;
    a.tap_stride = p.in_channels * p.out_channels;
    a.row_stride = p.out_channels;
    a.rows = n;
    a.channels = channels;
    a.u = u.data();
    a.point_stride = u_point;
    a.u_stride = width;
    inverse_transform_wgrad<T>(scheme, a);
    for (int64_t tap = 0; checked && tap < taps(p); ++tap)
      check.add_tap(task, tap, n, channels, a.w + tap * a.tap_stride, p.out_channels);
  });
  return !checked || check.are_even();
}

template void data_pass_by_panels<float>(const Conv3dProblem&, const Scheme&, bool, const float*, const float*, float*,
                                         const Epilogue<float>&);
template void data_pass_by_panels<double>(const Conv3dProblem&, const Scheme&, bool, const double*, const double*,
                                          double*, const Epilogue<double>&);
template bool grad_weight_by_panels<float>(const Conv3dProblem&, const Scheme&, const float*, const float*, float*);
template bool grad_weight_by_panels<double>(const Conv3dProblem&, const Scheme&, const double*, const double*, double*);

}  // namespace vg::kernels::winograd
