// What an instruction set provides: one table of function pointers for f32 and one for f64, and, where it multiplies
// bf16, one for that. Plain data and pointers only, so that the files compiled for newer CPUs include nothing that
// could leak an inline function (tools/check_kernel_objects.sh).
#pragma once

#include <cstdint>

#include "voxgrad/framework/kernels/common/activation.hpp"
#include "voxgrad/framework/kernels/common/typed_tables.hpp"

namespace vg::kernels {

/// Two bf16, the first in the low half: what bf16 kernels multiply with another pair at a time, adding both products.
enum class Bf16Pair : std::uint32_t {};

/// What products of a type of operands are summed in.
template <class T>
struct SumOf {
  using type = T;
};
template <>
struct SumOf<Bf16Pair> {
  using type = float;
};
template <class T>
using Sum = typename SumOf<T>::type;

/// A run of weight rows that meet contiguous elements of an input: for 0 <= j < k, element x + j meets row w + j.
/// With one group, adjacent taps along D are one run.
struct TapRun {
  std::int64_t x;  ///< offset of its first element, for position 0
  std::int64_t k;  ///< length
  std::int64_t w;  ///< its first row of the weights; rows are (tap, input channel of the group)
};

/// The same products of several operands, each so many elements behind the one before: Winograd's points. A call each
/// would cost much of what short products take.
struct BatchStrides {
  std::int64_t count = 1, x = 0, w = 0, y = 0;
};

/// Outputs that share their taps: output j reads x + x_indirection[j] + taps[t].x ... and is written at y + y_indirection[j].
template <class T>
struct IgemmArgs {
  const T* x;
  const T* w;  ///< layout: see the function
  Sum<T>* y;
  const TapRun* taps;
  std::int64_t tap_count;
  const std::int64_t* x_indirection;
  const std::int64_t* y_indirection;
  std::int64_t positions;
  std::int64_t w_rows;                       ///< packed weights: rows of a group's
  std::int64_t w_stride = 0;                 ///< weights that are not packed: elements from row to row
  std::int64_t co_begin = 0, co_end;         ///< output channels to compute; co_begin is a multiple of 2 * lanes
  std::int64_t group_in = 0, group_out = 0;  ///< channels of a group, where lanes run over several groups
  bool stream = false;                       ///< igemm may use non-temporal stores: y and y_indirection are whole lines
  bool prefetch_x = false;                   ///< x may come from memory: igemm prefetches it
  BatchStrides batch = {};                   ///< for igemm
};

/// dw rows += sum over positions of x (one row a weight row) times dy, for output channels [co_begin, co_end).
template <class T>
struct WgradArgs {
  const T* x;
  const T* dy;
  Sum<T>* dw;  ///< row r is at dw + r * dw_stride
  const TapRun* taps;
  std::int64_t tap_count;
  const std::int64_t* x_indirection;
  const std::int64_t* y_indirection;
  std::int64_t positions;
  std::int64_t dw_stride;
  std::int64_t co_begin, co_end;
  std::int64_t group_in = 0, group_out = 0;  ///< as IgemmArgs'
  std::int64_t ahead = 0;  ///< the lists go on, with what comes next: worth asking for so many entries early
};

template <class T>
using IgemmKernel = void (*)(const IgemmArgs<T>&);
template <class T>
using WgradKernel = void (*)(const WgradArgs<T>&);

/// What becomes of a value x of channel c: act((x - centre[c]) * factor[c] + shift[c] + residual). Null centre and
/// factor: x + shift[c].
template <class T>
struct ChannelMap {
  std::int64_t rows, channels;
  const T *centre, *factor, *shift;
  Activation activation;
  bool non_temporal =
      false;  ///< the results are part of more than the caches hold: non-temporal stores, where they are whole lines
};

/// The windows of a row of outputs along D, in a sample of in_w x in_d voxels a plane: all have the same rows of
/// voxels, [h_begin, h_end) x [w_begin, w_end), and output o those from d_begin[o] to d_end[o] of each.
struct PoolRow {
  std::int64_t channels, outputs;
  std::int64_t h_begin, h_end, w_begin, w_end, in_w, in_d;
  const std::int64_t *d_begin, *d_end;
};

/// The convolutions that every type of operands has.
template <class T>
struct DenseKernels {
  std::int64_t lanes;
  /// y = sum over taps; w packed as [block of 2 * lanes channels, the last one of `lanes` if that holds
  /// it][row][block], zero-filled.
  IgemmKernel<T> igemm;
  /// The same for few output channels, lanes over the reduction; w packed as [output channel][row].
  IgemmKernel<T> igemm_narrow;
  WgradKernel<T> wgrad;
  std::int64_t weight_lanes;    ///< of the smallest vector that wgrad works with
  WgradKernel<T> wgrad_narrow;  ///< for few output channels: lanes over weight rows
};

template <class T>
struct KernelTable : DenseKernels<T> {
  /// Depthwise, lanes over channels; w[tap][channel]; every run has k = 1 and w = its tap.
  IgemmKernel<T> igemm_depthwise;
  /// Small groups, lanes over the output channels of several; w[row][output channel of all]; every run has k =
  /// group_in. The input channels that `lanes` output channels meet must fit 2 * lanes.
  IgemmKernel<T> igemm_grouped;
  WgradKernel<T> wgrad_depthwise;
  WgradKernel<T> wgrad_grouped;  ///< as igemm_grouped

  void (*accumulate)(std::int64_t n, const T* x, T* y);
  void (*channel_sums)(std::int64_t rows, std::int64_t channels, const T* x, double* sum);
  void (*channel_moments)(std::int64_t rows, std::int64_t channels, const T* x, const double* centre, double* sums,
                          double* squares);
  void (*channel_dots)(std::int64_t rows, std::int64_t channels, const T* g, const T* x, double* sum_g, double* sum_gx);
  // pointwise.hpp
  void (*map_channels)(const ChannelMap<T>& m, const T* x, const T* residual, T* y);
  void (*activation_grad_dots)(const ChannelMap<T>& m, const T* x, const T* g, const T* y, T* masked_grad,
                               double* sum_g, double* sum_gx);
  void (*gelu)(std::int64_t n, const T* x, T* y);
  void (*gelu_grad)(std::int64_t n, const T* x, const T* g, T* dx);
  void (*norm_grad)(const ChannelMap<T>& m, const T* scale_x, const T* offset, const T* x, const T* g, T* dx);
  // pool.hpp
  void (*max_pool_row)(const PoolRow& row, const T* x, T* y, std::int32_t* places);
  void (*max_unpool_row)(const PoolRow& row, const T* dy, const std::int32_t* places, T* dx);
};

/// Convolutions of bf16 pairs, and the pairs themselves. Rounding is to nearest even; NaN stays NaN.
struct Bf16Kernels : DenseKernels<Bf16Pair> {
  /// As igemm, by tiles of `tile_step(group_in)` input channels at a time, which must divide group_in; null
  /// where the set has no tiles.
  IgemmKernel<Bf16Pair> igemm_tiles;
  /// Row by row, y[j] = (x[2 j], x[2 j + 1]) with zeros for what lies beyond the n elements; rows of y have y_step.
  void (*pair_adjacent)(std::int64_t rows, std::int64_t n, const float* x, Bf16Pair* y, std::int64_t y_step);
  /// Row by row, y[j] = (a[j], b[j]) for 0 <= j < n; null stands for zeros; rows of a and b have `step`, of y n.
  /// Returns whether all pairs are finite.
  bool (*pair)(std::int64_t rows, std::int64_t n, const float* a, const float* b, std::int64_t step, Bf16Pair* y);
};

struct KernelTables {
  KernelTable<float> f32;
  KernelTable<double> f64;
};

// Null where the file was compiled without its instruction set (another architecture).
extern const KernelTables* const portable_kernels;
extern const KernelTables* const avx2_kernels;
extern const KernelTables* const avx512_kernels;

// Null where the file was compiled without its instruction set.
extern const Bf16Kernels* const portable_bf16_kernels;
extern const Bf16Kernels* const avx512_bf16_kernels;
extern const IgemmKernel<Bf16Pair> amx_igemm_tiles;

/// The tables of the set in force (kernel_set.hpp). Throws ValueError when VOXGRAD_KERNELS names none that is
/// available.
const KernelTables& current_kernels();

template <class T>
const KernelTable<T>& current_table() {
  return of_type<T>(current_kernels());
}

}  // namespace vg::kernels
