#include "voxgrad/framework/kernels/winograd/weights.hpp"

#include <algorithm>

#include "voxgrad/framework/base/threads.hpp"
#include "voxgrad/framework/kernels/common/driver.hpp"
#include "voxgrad/framework/kernels/winograd/layout.hpp"

namespace vg::kernels::winograd {

using std::int64_t;

template <class T>
void transform_weights(const Conv3dProblem& p, const Scheme& scheme, const Weights<T>& from, bool transpose,
                       WeightTransformArgs<T, const T> to, const WinogradTable<T>& table) {
  const int64_t lanes = table.lanes, rows = to.rows, channels = to.channels;
  const auto& kernels = transforms_of(table, scheme);
  T* const u = to.u;
  // the planes of taps that a slice reads
  const bool all = scheme.strided || scheme.has_wide_tiles() || to.slice == 1 || to.slice == 2;
  const int64_t begin = !all && to.slice == 3 ? 2 : 0, end = all || to.slice == 3 ? 3 : 1;
  if (scheme.slices() == 1) to.slice = -1;
  if (!transpose) {
    to.w = from.origin;
    to.tap_stride = from.tap_stride;
    to.row_stride = from.ci_stride;
    to.width = round_up(channels, lanes);
    kernels.weights(to);
    return;
  }
  // In memory the output channels are rows, so a lanes x lanes square of each tap is first transposed in L1.
  memory::Scratch<T> square(taps(p) * lanes * lanes);
  const int64_t plane = taps(p) / p.kernel_size[0];
  to.w = square.data();
  to.tap_stride = lanes * lanes;
  to.row_stride = to.width = lanes;
  for (int64_t row = 0; row < rows; row += lanes)
    for (int64_t c = 0; c < channels; c += lanes) {
      to.rows = std::min(lanes, rows - row);
      to.channels = std::min(lanes, channels - c);
      to.u = u + row * to.u_stride + c;
      for (int64_t t = begin * plane; t < end * plane; ++t)
        table.transpose(from.origin + t * from.tap_stride + c * from.co_stride + row, from.co_stride, to.rows,
                        to.channels, square.data() + t * to.tap_stride);
      kernels.weights(to);
    }
}

template <class T>
bool is_grouped(const Conv3dProblem& p) {
  if (p.groups > 1) return true;
  const bool several = std::any_of(p.kernel_size, p.kernel_size + 3, [](int64_t k) { return k > 3; });
  return !several && !is_strided(p, Pass::forward) &&
         &winograd_table<T>(p.out_channels) != &current_winograd_table<T>();
}

template <class T>
TransformedWeights<T>::TransformedWeights(const Conv3dProblem& p, const Scheme& scheme, bool transpose, const T* w)
    : table_(is_grouped<T>(p) ? winograd_table<T>(p.out_channels / p.groups) : current_winograd_table<T>()),
      packed_rows_((scheme.strided ? scheme.w_points() : scheme.all_subkernels()) * p.in_channels),
      // a group's last vector may extend past the end
      ld_(is_grouped<T>(p) ? round_up(p.out_channels, table_.lanes) + table_.lanes : 0),
      point_stride_(in_rows() ? p.in_channels / p.groups * ld_
                              // one vector more per point, so that points map to different cache sets
                              : scheme.all_subkernels() * p.in_channels * round_up(p.out_channels, table_.lanes) +
                                    (scheme.strided ? 0 : table_.lanes)),
      u_(scheme.w_points() * point_stride_) {
  if (in_rows())
    fill_rows(p, scheme, transpose, w);
  else
    pack(p, scheme, transpose, w);
}

template <class T>
void TransformedWeights<T>::pack(const Conv3dProblem& p, const Scheme& scheme, bool transpose, const T* w) {
  const int64_t in = p.in_channels, out = p.out_channels, subkernels = scheme.all_subkernels();
  const Conv3dProblem shape = shape_of_subkernel(p);
  Weights<T> from = weights_of(p, w, transpose);
  // several subkernels are copied, with zeros for the taps that they do not have
  const int64_t tap_size = in * out, subkernel_size = taps(shape) * tap_size;
  memory::Scratch<T> copies(subkernels > 1 ? subkernels * subkernel_size : 0);
  if (subkernels > 1) {
    std::fill_n(copies.data(), subkernels * subkernel_size, T(0));
    for (int64_t i = 0; i < subkernels; ++i)
      each_tap(p, scheme, i, [&](int64_t of_subkernel, int64_t of_kernel) {
        std::copy_n(from.origin + of_kernel * from.tap_stride, tap_size,
                    copies.data() + i * subkernel_size + of_subkernel * tap_size);
      });
    from.origin = copies.data();
    from.tap_stride = tap_size;
  }
  const int64_t lanes = table_.lanes, blocks = ceil_div(out, 2 * lanes), chunks = ceil_div(in, lanes);
  parallel_for(subkernels * blocks * chunks, [&](int64_t task) {
    const int64_t row = task % chunks * lanes, c = task / chunks % blocks * 2 * lanes, sub = task / chunks / blocks;
    const int64_t channels = std::min(2 * lanes, out - c), width = round_up(channels, lanes);
    Weights<T> part = from;
    part.origin += sub * subkernel_size + row * from.ci_stride + c * from.co_stride;
    WeightTransformArgs<T, const T> to{};
    to.rows = std::min(lanes, in - row);
    to.channels = channels;
    to.point_stride = scheme.strided ? in * width : point_stride_;
    to.u_stride = width;
    each_weights(scheme, [&](int slice, int slices) {
      to.u = u_.data() + c * packed_rows_ + (sub * in + row) * width + scheme.before(slice) * point_stride_;
      to.slice = slice;
      to.slices = slices;
      transform_weights<T>(shape, scheme, part, transpose, to);
    });
  });
}

template <class T>
void TransformedWeights<T>::fill_rows(const Conv3dProblem& p, const Scheme& scheme, bool transpose, const T* w) {
  const Weights<T> from = weights_of(p, w, transpose);
  const int64_t out = p.out_channels / p.groups;
  each_weights(scheme, [&](int slice, int slices) {
    WeightTransformArgs<T, const T> to{};
    to.rows = p.in_channels / p.groups;
    to.channels = transpose ? out : p.out_channels;
    to.point_stride = point_stride_;
    to.u_stride = ld_;
    to.slice = slice;
    to.slices = slices;
    // A row holds the outputs of all groups. Transposed weights are transformed group by group, in ascending order: the
    // whole vectors of one group also write past its channels, and the next group overwrites that.
    for (int64_t group = 0; group < (transpose ? p.groups : 1); ++group) {
      to.u = u_.data() + scheme.before(slice) * point_stride_ + group * out;
      transform_weights<T>(p, scheme, from.group(group), transpose, to, table_);
    }
  });
}

template <class T>
void inverse_transform_wgrad(const Scheme& scheme, WeightTransformArgs<const T, T> from) {
  from.slices = scheme.slices();
  transforms_of(current_winograd_table<T>(), scheme).taps(from);
}

template void transform_weights<float>(const Conv3dProblem&, const Scheme&, const Weights<float>&, bool,
                                       WeightTransformArgs<float, const float>, const WinogradTable<float>&);
template bool is_grouped<float>(const Conv3dProblem&);
template class TransformedWeights<float>;
template void inverse_transform_wgrad<float>(const Scheme&, WeightTransformArgs<const float, float>);
template void transform_weights<double>(const Conv3dProblem&, const Scheme&, const Weights<double>&, bool,
                                        WeightTransformArgs<double, const double>, const WinogradTable<double>&);
template bool is_grouped<double>(const Conv3dProblem&);
template class TransformedWeights<double>;
template void inverse_transform_wgrad<double>(const Scheme&, WeightTransformArgs<const double, double>);

}  // namespace vg::kernels::winograd
