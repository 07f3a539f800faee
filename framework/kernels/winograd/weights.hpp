// The transform of weights for Winograd convolutions, and the inverse transform of weight gradients. Internal.
#pragma once

#include <cstdint>

#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/kernels/common/pack.hpp"
#include "voxgrad/framework/kernels/winograd/scheme.hpp"

namespace vg::kernels::winograd {

/// Transforms the weights of some input channels (rows) and output channels, whose addresses begin at from.origin. p is
/// the shape of a subkernel. `to` has the rows, channels, slices, u and its strides; u is written in whole vectors of
/// channels. With at most 2 * lanes channels and u_stride = round_up(channels, lanes), a point has the packed layout of
/// igemm. `table` determines the vector length.
template <class T>
void transform_weights(const Conv3dProblem& p, const Scheme& scheme, const Weights<T>& from, bool transpose,
                       WeightTransformArgs<T, const T> to, const WinogradTable<T>& table = current_winograd_table<T>());

/// f(slice, number of slices to transform together): each slice alone, or all at once for wide tiles.
template <class F>
void each_weights(const Scheme& scheme, const F& f) {
  const int together = scheme.has_wide_tiles() ? scheme.slices() : 1;
  for (int slice = 0; slice < scheme.slices(); slice += together) f(slice, together);
}

/// All transformed weights in the layout of the products. With one group that is the packed layout of igemm per point;
/// rows are (subkernel, input channel), with stride 2 (point, input channel) of all points together. With groups, and
/// if the outputs of one group fit into half a vector, a point has one row per input channel of a group, which holds
/// the output channels of all groups.
template <class T>
class TransformedWeights {
 public:
  TransformedWeights(const Conv3dProblem& p, const Scheme& scheme, bool transpose, const T* w);
  const T* point(std::int64_t index) { return u_.data() + index * point_stride_; }
  std::int64_t point_stride() const { return point_stride_; }
  std::int64_t packed_rows() const { return packed_rows_; }
  /// Whether the layout is that of groups, the distance between its rows, and the table of its products.
  bool in_rows() const { return ld_ != 0; }
  std::int64_t ld() const { return ld_; }
  const WinogradTable<T>& table() const { return table_; }

 private:
  void pack(const Conv3dProblem& p, const Scheme& scheme, bool transpose, const T* w);
  void fill_rows(const Conv3dProblem& p, const Scheme& scheme, bool transpose, const T* w);

  const WinogradTable<T>& table_;
  std::int64_t packed_rows_, ld_, point_stride_;
  memory::Scratch<T> u_;
};

/// Whether p has groups, or one group whose outputs fit into half a vector of the current kernel set, so that half
/// vectors (half_width, typed_tables.hpp) are used. Then TransformedWeights::in_rows is true. False with several
/// subkernels.
template <class T>
bool is_grouped(const Conv3dProblem& p);

/// Transforms weight gradients to taps; `from` has the rows, channels, u, w and their strides.
template <class T>
void inverse_transform_wgrad(const Scheme& scheme, WeightTransformArgs<const T, T> from);

}  // namespace vg::kernels::winograd
