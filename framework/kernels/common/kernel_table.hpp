// The functions that an instruction set provides: one table of function pointers for f32, one for f64 and, if it has
// bf16 products, one for these. This header has plain data and pointers only, so that the files compiled for newer CPUs
// include nothing that could leak an inline function (tools/check_kernel_objects.sh).
#pragma once

#include <cstdint>

#include "voxgrad/framework/kernels/common/activation.hpp"
#include "voxgrad/framework/kernels/common/typed_tables.hpp"

namespace vg::kernels {

/// Two bf16, the first in the low half. bf16 kernels multiply two pairs at a time and add both products.
enum class Bf16Pair : std::uint32_t {};

/// The type in which products of operands of type T are summed.
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

/// A run of weight rows that multiply contiguous elements of an input: for 0 <= j < k, row w + j multiplies element
/// x + j. With one group, adjacent taps along D form one run.
struct TapRun {
  std::int64_t x;  ///< offset of its first element, relative to a position's x_indirection
  std::int64_t k;  ///< length
  std::int64_t w;  ///< its first weight row; rows are (tap, input channel of the group)
};

/// The same product on `count` sets of operands; x, w and y are the strides between them in elements. Winograd uses it
/// for the points of a tile: their products are so short that one call per point would cost much of their time.
struct BatchStrides {
  std::int64_t count = 1, x = 0, w = 0, y = 0;
};

/// Outputs that share their taps: output j is written at y + y_indirection[j] and reads, for each run t, the k elements
/// from x + x_indirection[j] + taps[t].x on.
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
  std::int64_t w_rows;                       ///< packed weights: rows per group
  std::int64_t w_stride = 0;                 ///< weights that are not packed: elements between rows
  std::int64_t co_begin = 0, co_end;         ///< output channels to compute; co_begin is a multiple of 2 * lanes
  std::int64_t group_in = 0, group_out = 0;  ///< channels per group, if lanes run over several groups
  bool stream = false;                       ///< igemm may use non-temporal stores: y and y_indirection are whole lines
  bool prefetch_x = false;                   ///< x may not be in a cache: igemm prefetches it
  BatchStrides batch = {};                   ///< for igemm only
};

/// Each row of dw += the sum over positions of its element of x times dy, for output channels [co_begin, co_end).
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
  std::int64_t group_in = 0, group_out = 0;  ///< as in IgemmArgs
  std::int64_t ahead = 0;  ///< the lists continue with later positions; inputs are prefetched this many entries early
};

template <class T>
using IgemmKernel = void (*)(const IgemmArgs<T>&);
template <class T>
using WgradKernel = void (*)(const WgradArgs<T>&);

/// A map of a value x of channel c to act((x - centre[c]) * factor[c] + shift[c] + residual). With a null centre and
/// factor it is act(x + shift[c]), and a residual is ignored.
template <class T>
struct ChannelMap {
  std::int64_t rows, channels;
  const T *centre, *factor, *shift;
  Activation activation;
  bool non_temporal =
      false;  ///< the results would not stay in the caches: use non-temporal stores if rows are whole cache lines
};

/// The pooling windows of a row of outputs along D, in a sample whose planes have in_w x in_d voxels. All windows cover
/// the rows of voxels [h_begin, h_end) x [w_begin, w_end), and output o the voxels [d_begin[o], d_end[o]) of each row.
struct PoolRow {
  std::int64_t channels, outputs;
  std::int64_t h_begin, h_end, w_begin, w_end, in_w, in_d;
  const std::int64_t *d_begin, *d_end;
};

/// The convolutions that exist for every type of operands.
template <class T>
struct DenseKernels {
  std::int64_t lanes;
  /// y = sum over taps. w is packed as [block of channels][row][channel in block], zero-filled. A block has 2 * lanes
  /// channels; the last one has `lanes` if the rest fits.
  IgemmKernel<T> igemm;
  /// The same for few output channels: lanes run over the reduction, and w is packed as [output channel][row].
  IgemmKernel<T> igemm_narrow;
  WgradKernel<T> wgrad;
  std::int64_t weight_lanes;    ///< lanes of the smallest vector that wgrad uses
  WgradKernel<T> wgrad_narrow;  ///< for few output channels: lanes run over weight rows
};

template <class T>
struct KernelTable : DenseKernels<T> {
  /// Depthwise: lanes run over channels. w is [tap][channel]; every run has k = 1 and w = its tap.
  IgemmKernel<T> igemm_depthwise;
  /// Small groups: lanes run over the output channels of several. w is [row][output channel of all groups]; every run
  /// has k = group_in. The input channels of the groups of `lanes` output channels must fit 2 * lanes.
  IgemmKernel<T> igemm_grouped;
  WgradKernel<T> wgrad_depthwise;
  WgradKernel<T> wgrad_grouped;  ///< as for igemm_grouped

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

/// Convolutions of bf16 pairs, and functions that make pairs. They round to nearest even; NaN stays NaN.
struct Bf16Kernels : DenseKernels<Bf16Pair> {
  /// As igemm, but with matrix tiles. The input channels are cut into ceil(group_in / 16) steps, which must be equal.
  /// Null if the set has no tiles.
  IgemmKernel<Bf16Pair> igemm_tiles;
  /// In each row, y[j] = (x[2 j], x[2 j + 1]), with zeros beyond the n elements of x; rows of y have y_step pairs.
  void (*pair_adjacent)(std::int64_t rows, std::int64_t n, const float* x, Bf16Pair* y, std::int64_t y_step);
  /// In each row, y[j] = (a[j], b[j]) for 0 <= j < n. A null a or b means zeros. Rows are `step` elements apart in a
  /// and b, and n pairs in y. Returns whether all pairs are finite.
  bool (*pair)(std::int64_t rows, std::int64_t n, const float* a, const float* b, std::int64_t step, Bf16Pair* y);
};

struct KernelTables {
  KernelTable<float> f32;
  KernelTable<double> f64;
};

// Null if the file was compiled without its instruction set (for another architecture).
extern const KernelTables* const portable_kernels;
extern const KernelTables* const avx2_kernels;
extern const KernelTables* const avx512_kernels;

// Null if the file was compiled without its instruction set.
extern const Bf16Kernels* const portable_bf16_kernels;
extern const Bf16Kernels* const avx512_bf16_kernels;
extern const IgemmKernel<Bf16Pair> amx_igemm_tiles;

/// The tables of the set in force (kernel_set.hpp). Throws ValueError if VOXGRAD_KERNELS names a set that is not
/// available.
const KernelTables& current_kernels();

template <class T>
const KernelTable<T>& current_table() {
  return of_type<T>(current_kernels());
}

}  // namespace vg::kernels
