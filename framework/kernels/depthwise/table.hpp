// The functions that an instruction set provides for the depthwise algorithm (depthwise.hpp). This header has plain
// data and pointers only, as kernel_table.hpp.
#pragma once

#include <cstdint>

#include "voxgrad/framework/kernels/common/typed_tables.hpp"

namespace vg::kernels {

/// Rows of taps along D, of one plane and one input channel. In each, input i times weight vector k is added to output
/// i - k.
template <class T>
struct DepthwiseTaps {
  const T* x;                ///< the input of output 0 at the first tap of the first row
  const T* w;                ///< kd vectors per row
  const std::int32_t* lane;  ///< if inputs are permuted: the input lane of each lane
};

/// How an input of the kernels becomes a vector.
enum class DepthwiseInput {
  vectors,    ///< it is a vector
  permuted,   ///< lane l is lane[l] of a vector
  broadcast,  ///< it is one number for all lanes
};
/// In f64 they are vectors instead of permuted: fewer kernels are compiled.
template <class T>
constexpr bool has_permuted_inputs = sizeof(T) == sizeof(float);

/// A row of outputs along D. It is one vector of channels wide, or two if these are a line and stored non-temporally.
template <class T>
struct DepthwiseRow {
  const DepthwiseTaps<T>* planes;
  std::int64_t plane_count;
  std::int64_t row_begin, row_end;  ///< the rows of a plane that are used
  std::int64_t x_row;               ///< elements between rows
  std::int64_t x_offset;            ///< added to each plane's x
  std::int64_t kd, depth;           ///< kd: 1, 2, 3, 5 or 7, each of which has its own unrolled kernels
  DepthwiseInput input;
  std::int64_t x_step;  ///< elements between inputs along D
  T* y;                 ///< output d is at y + d * y_stride
  std::int64_t y_stride, channels;
  bool stream;          ///< use non-temporal stores: y and y_stride are whole lines, and the caller calls stream_end
  std::int64_t w_next;  ///< elements from the weights of one vector of channels to those of the next
};

/// dw[r][k] += the sum over rows w and outputs d of x[w + r][d + k] * dy[w][d], which are vectors of channels.
template <class T>
struct DepthwiseWeights {
  const T* x;
  DepthwiseInput input;        ///< not `broadcast`
  std::int64_t x_step, x_row;  ///< elements between inputs along D, and between rows
  const std::int32_t* lane;    ///< as in DepthwiseTaps
  const T* dy;                 ///< contiguous
  std::int64_t rows, depth, kw, kd;
  T* dw;  ///< [kw][kd]
};

/// Lane l of vector i of `to` becomes x[i * stride + lane[l]]. Lanes from `channels` on are unspecified, but they are
/// zero or other elements of x.
template <class T>
struct DepthwiseFill {
  const T* x;
  std::int64_t stride, count;
  const std::int32_t* lane;  ///< one per lane, all below `span`
  std::int64_t span, channels;
  T* to;
};

template <class T>
struct DepthwiseTable {
  std::int64_t lanes;
  /// The vectors that `row` stores non-temporally per output, for an input and kd; 0 if it cannot.
  std::int64_t (*stream_vectors)(DepthwiseInput input, std::int64_t kd);
  void (*row)(const DepthwiseRow<T>&);
  void (*weights)(const DepthwiseWeights<T>&);
  void (*fill)(const DepthwiseFill<T>&);
  void (*stream_end)();
};

struct DepthwiseTables {
  DepthwiseTable<float> f32;
  DepthwiseTable<double> f64;
};

// Null if the file was compiled without its instruction set.
extern const DepthwiseTables* const portable_depthwise;
extern const DepthwiseTables* const avx2_depthwise;
extern const DepthwiseTables* const avx512_depthwise;

/// The tables of the set in force.
const DepthwiseTables& current_depthwise();
/// The tables of its half vectors, which are the whole vectors of another set; null if there are none.
const DepthwiseTables* current_half_width_depthwise();

template <class T>
const DepthwiseTable<T>& depthwise_table(std::int64_t out_channels) {
  return of_channels<T>(current_depthwise(), current_half_width_depthwise(), out_channels);
}

}  // namespace vg::kernels
