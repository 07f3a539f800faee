// What an instruction set provides: one table of function pointers for f32 and one for f64. Plain data and pointers
// only, so that the files compiled for newer CPUs include nothing that could leak an inline function
// (tools/check_kernel_objects.sh).
#pragma once

#include <cstdint>

namespace vg::kernels {

/// A run of weight rows that meet contiguous elements of an input: for 0 <= j < k, element x + j meets row w + j.
/// With one group, adjacent taps along D are one run.
struct Tap {
  std::int64_t x;  ///< offset of its first element, for position 0
  std::int64_t k;  ///< length
  std::int64_t w;  ///< its first row of the weights; rows are (tap, input channel of the group)
};

/// Outputs that share their taps: output j reads x + x_off[j] + taps[t].x ... and is written at y + y_off[j].
template <class T>
struct GatherArgs {
  const T* x;
  const T* w;  ///< layout: see the function
  T* y;
  const Tap* taps;
  std::int64_t tap_count;
  const std::int64_t* x_off;
  const std::int64_t* y_off;
  std::int64_t positions;
  std::int64_t w_rows;               ///< packed weights: rows of a group's
  std::int64_t w_stride;             ///< weights that are not packed: elements from row to row
  std::int64_t co_begin, co_end;     ///< output channels to compute; co_begin is a multiple of 2 * lanes
  std::int64_t group_in, group_out;  ///< channels of a group, where lanes run over several groups
  bool stream;                       ///< gather_dense may store past the caches: y and y_off are whole lines
};

/// dw rows += sum over positions of x (one row a weight row) times dy, for output channels [co_begin, co_end).
template <class T>
struct WeightArgs {
  const T* x;
  const T* dy;
  T* dw;  ///< row r is at dw + r * dw_stride
  const Tap* taps;
  std::int64_t tap_count;
  const std::int64_t* x_off;
  const std::int64_t* y_off;
  std::int64_t positions;
  std::int64_t dw_stride;
  std::int64_t co_begin, co_end;
  std::int64_t group_in, group_out;
};

template <class T>
struct KernelTable {
  std::int64_t lanes;
  /// y = sum over taps; w packed as [block of 2 * lanes channels, the last one of `lanes` if that holds
  /// it][row][block], zero-filled.
  void (*gather_dense)(const GatherArgs<T>&);
  /// The same for few output channels, lanes over the reduction; w packed as [output channel][row].
  void (*gather_few)(const GatherArgs<T>&);
  /// Depthwise, lanes over channels; w[tap][channel]; every run has k = 1 and w = its tap.
  void (*gather_depthwise)(const GatherArgs<T>&);
  /// Small groups, lanes over the output channels of several; w[row][output channel of all]; every run has k =
  /// group_in. The input channels that `lanes` output channels meet must fit 2 * lanes.
  void (*gather_grouped)(const GatherArgs<T>&);
  void (*weight_dense)(const WeightArgs<T>&);
  void (*weight_few)(const WeightArgs<T>&);  ///< for few output channels: lanes over weight rows
  void (*weight_depthwise)(const WeightArgs<T>&);
  void (*weight_grouped)(const WeightArgs<T>&);  ///< as gather_grouped

  void (*relu)(std::int64_t n, const T* x, T* y);
  void (*relu_grad)(std::int64_t n, const T* x, const T* g, T* dx);
  void (*add)(std::int64_t n, const T* a, const T* b, T* y);
  void (*accumulate)(std::int64_t n, const T* x, T* y);
  void (*channel_sums)(std::int64_t rows, std::int64_t channels, const T* x, double* sum, double* sum_squares);
  void (*channel_centered_squares)(std::int64_t rows, std::int64_t channels, const T* x, const double* mean,
                                   double* out);
  void (*channel_dots)(std::int64_t rows, std::int64_t channels, const T* g, const T* x, double* sum_g, double* sum_gx);
  void (*scale_shift)(std::int64_t rows, std::int64_t channels, const T* x, const T* scale, const T* shift, T* y);
  void (*norm_backward)(std::int64_t rows, std::int64_t channels, const T* g, const T* x, const T* a, const T* b,
                        const T* c, T* dx);
};

struct KernelTables {
  KernelTable<float> f32;
  KernelTable<double> f64;
};

// Null where the file was compiled without its instruction set (another architecture).
extern const KernelTables* const scalar_kernels;
extern const KernelTables* const avx2_kernels;
extern const KernelTables* const avx512_kernels;

/// The tables of the set in force (kernel_set.hpp). Throws ValueError when VOXGRAD_KERNELS names none that is
/// available.
const KernelTables& current_kernels();

template <class T>
const KernelTable<T>& current_table() {
  if constexpr (sizeof(T) == sizeof(float))
    return current_kernels().f32;
  else
    return current_kernels().f64;
}

}  // namespace vg::kernels
