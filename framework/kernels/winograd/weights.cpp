#include "voxgrad/framework/kernels/winograd/weights.hpp"

#include "voxgrad/framework/base/threads.hpp"

namespace vg::kernels::winograd {

using std::int64_t;

namespace {

template <class T, class W>
WeightTransformArgs<T, W> arguments(const Tiling& tiling, int slice, int slices) {
  WeightTransformArgs<T, W> a{};
  a.slice = tiling.slices() == 1 ? -1 : slice;
  a.slices = slices;
  return a;
}

/// Planes of taps that a slice reads.
struct Planes {
  int64_t begin, end;
};
Planes planes_of(const Tiling& tiling, int slice) {
  if (tiling.slices() == 1) return {0, 1};
  if (tiling.points().has_wide_tiles()) return {0, 3};
  if (slice == 0) return {0, 1};
  if (slice == 3) return {2, 3};
  return {0, 3};
}

}  // namespace

template <class T>
void transform_weights(const Conv3dProblem& p, const Tiling& tiling, const Weights<T>& from, bool transpose,
                       const WeightBlock<T>& block, const WinogradTable<T>& table) {
  const int64_t lanes = table.lanes;
  auto a = arguments<T, const T>(tiling, block.slice, block.slices);
  a.point_stride = block.point_stride;
  a.u_stride = block.u_stride;
  if (!transpose) {
    a.w = from.origin + block.row_begin * from.ci_stride + block.co_begin;
    a.tap_stride = from.tap_stride;
    a.row_stride = from.ci_stride;
    a.rows = block.row_end - block.row_begin;
    a.channels = block.channels;
    a.width = round_up(block.channels, lanes);
    a.u = block.u;
    table.of_points(tiling.points().along).weights(a);
    return;
  }
  // In memory the output channels are rows, so a lanes x lanes square of each tap is first transposed in L1.
  memory::Scratch<T> square(taps(p) * lanes * lanes);
  const Planes planes = planes_of(tiling, block.slice);
  const int64_t plane = taps(p) / p.kernel_size[0];
  a.w = square.data();
  a.tap_stride = lanes * lanes;
  a.row_stride = a.width = lanes;
  for (int64_t row = block.row_begin; row < block.row_end; row += lanes)
    for (int64_t c = 0; c < block.channels; c += lanes) {
      a.rows = std::min(lanes, block.row_end - row);
      a.channels = std::min(lanes, block.channels - c);
      a.u = block.u + (row - block.row_begin) * block.u_stride + c;
      for (int64_t t = planes.begin * plane; t < planes.end * plane; ++t)
        table.transpose(from.origin + t * from.tap_stride + (block.co_begin + c) * from.co_stride + row, from.co_stride,
                        a.rows, a.channels, square.data() + t * a.tap_stride);
      table.of_points(tiling.points().along).weights(a);
    }
}

template <class T>
TransformedWeights<T>::TransformedWeights(const Conv3dProblem& p, const Tiling& tiling, bool transpose, const T* w)
    : lanes_(current_table<T>().lanes),
      // one vector more per point, so that points map to different cache sets
      point_stride_(tiling.parts().all() * p.in_channels * round_up(p.out_channels, lanes_) + lanes_),
      u_(tiling.points().all() * point_stride_) {
  const int64_t parts = tiling.parts().all(), blocks = ceil_div(p.out_channels, 2 * lanes_),
                chunks = ceil_div(p.in_channels, lanes_);
  const SubKernelWeights<T> from(p, transpose, w);
  const Conv3dProblem shape = shape_of_part(p);
  parallel_for(parts * blocks * chunks, [&](int64_t task) {
    const int64_t row = task % chunks * lanes_, c = task / chunks % blocks * 2 * lanes_, part = task / chunks / blocks;
    const int64_t channels = std::min(2 * lanes_, p.out_channels - c), width = round_up(channels, lanes_);
    T* const u = u_.data() + c * parts * p.in_channels + (part * p.in_channels + row) * width;
    each_weights(tiling.points(), [&](int slice, int slices) {
      transform_weights<T>(shape, tiling, from.of(part), transpose,
                           {row, std::min(row + lanes_, p.in_channels), c, channels, slice, slices,
                            u + tiling.points().before(slice) * point_stride_, point_stride_, width});
    });
  });
}

template <class T>
void inverse_transform_wgrad(const Tiling& tiling, const PointRows<T>& from, T* dw, int64_t tap_stride,
                             int64_t row_stride) {
  auto a = arguments<const T, T>(tiling, 0, tiling.slices());
  a.w = dw;
  a.tap_stride = tap_stride;
  a.row_stride = row_stride;
  a.rows = from.rows;
  a.channels = from.channels;
  a.u = from.u;
  a.point_stride = from.point_stride;
  a.u_stride = from.stride;
  current_winograd_table<T>().of_points(tiling.points().along).taps(a);
}

template void transform_weights<float>(const Conv3dProblem&, const Tiling&, const Weights<float>&, bool,
                                       const WeightBlock<float>&, const WinogradTable<float>&);
template class TransformedWeights<float>;
template void inverse_transform_wgrad<float>(const Tiling&, const PointRows<float>&, float*, int64_t, int64_t);
template void transform_weights<double>(const Conv3dProblem&, const Tiling&, const Weights<double>&, bool,
                                        const WeightBlock<double>&, const WinogradTable<double>&);
template class TransformedWeights<double>;
template void inverse_transform_wgrad<double>(const Tiling&, const PointRows<double>&, double*, int64_t, int64_t);

}  // namespace vg::kernels::winograd
