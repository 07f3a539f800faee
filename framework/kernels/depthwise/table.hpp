// What an instruction set provides for the depthwise kernels (depthwise.hpp). Plain data and pointers only, as in
// kernel_table.hpp.
#pragma once

#include <cstdint>

#include "voxgrad/framework/kernels/common/typed_tables.hpp"

namespace vg::kernels {

/// Rows of taps along D, of one plane and one input channel: in each, input i meets weight vector w + k at output
/// i - k.
template <class T>
struct DepthwiseTaps {
  const T* x;                ///< of output 0 and the first row's first tap
  const T* w;                ///< kd vectors a row
  const std::int32_t* lane;  ///< where inputs are permuted: the input lane of each lane
};

/// How an input of the kernels becomes a vector.
enum class DepthwiseInput {
  vectors,    ///< it is one
  permuted,   ///< lane l is lane[l] of one
  broadcast,  ///< it is one number
};

/// A row of outputs along D, one vector of channels wide; two where those are stored non-temporally and make a line.
template <class T>
struct DepthwiseRow {
  const DepthwiseTaps<T>* planes;
  std::int64_t plane_count;
  std::int64_t row_begin, row_end;  ///< the rows of a plane that are met
  std::int64_t x_row;               ///< elements from row to row
  std::int64_t x_offset;            ///< added to each plane's x
  std::int64_t kd, depth;           ///< kd: 1, 2, 3, 5 or 7, each of which has its own unrolled kernels
  DepthwiseInput input;
  std::int64_t x_step;  ///< elements from input to input along D
  T* y;                 ///< output d is at y + d * y_stride
  std::int64_t y_stride, channels;
  bool stream;          ///< non-temporal stores: y and y_stride are whole lines, and stream_end is called at the end
  std::int64_t w_next;  ///< elements from the weights of one vector of channels to those of the next
};

/// dw[r][k] += sum over rows w and outputs d of x[w + r][d + k] * dy[w][d], all vectors of channels.
template <class T>
struct DepthwiseWeights {
  const T* x;
  DepthwiseInput input;        ///< not `broadcast`
  std::int64_t x_step, x_row;  ///< elements from input to input along D, and from row to row
  const std::int32_t* lane;    ///< as in DepthwiseTap
  const T* dy;                 ///< contiguous
  std::int64_t rows, depth, kw, kd;
  T* dw;  ///< [kw][kd]
};

/// Lane l of vector i of `to` becomes x[i * stride + lane[l]]; lanes from `channels` on are unspecified but finite
/// where x is, or zero.
template <class T>
struct DepthwiseFill {
  const T* x;
  std::int64_t stride, count;
  const std::int32_t* lane;  ///< `lanes` of them, all below `span`
  std::int64_t span, channels;
  T* to;
};

template <class T>
struct DepthwiseTable {
  std::int64_t lanes;
  /// Vectors of a row that `row` stores non-temporally, for an input and kd; none where it can't.
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

// Null where the file was compiled without its instruction set.
extern const DepthwiseTables* const portable_depthwise;
extern const DepthwiseTables* const avx2_depthwise;
extern const DepthwiseTables* const avx512_depthwise;

/// The tables of the set in force.
const DepthwiseTables& current_depthwise();
/// Those of its half vectors, another set's whole ones; null where there are none.
const DepthwiseTables* current_half_width_depthwise();

template <class T>
const DepthwiseTable<T>& depthwise_table(std::int64_t out_channels) {
  return of_channels<T>(current_depthwise(), current_half_width_depthwise(), out_channels);
}

}  // namespace vg::kernels
