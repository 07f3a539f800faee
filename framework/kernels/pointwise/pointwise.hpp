// Pointwise and per-channel loops on contiguous ranges, run by the kernel set in force. T is float or double. They use
// no threads: callers cut by shape and run ranges in parallel. Data with channels is channels-last, `rows` x
// `channels`; sums are in double. An output may be one of the inputs (in place), but may not overlap one otherwise.
#pragma once

#include <cstdint>

#include "voxgrad/framework/kernels/common/kernel_table.hpp"

namespace vg::kernels {

/// y += x
template <class T>
void accumulate(std::int64_t n, const T* x, T* y);

/// y = x Phi(x), and dx = g times its slope.
template <class T>
void gelu(std::int64_t n, const T* x, T* y);
template <class T>
void gelu_grad(std::int64_t n, const T* x, const T* g, T* dx);

/// sum[c] = the sum of x (overwritten).
template <class T>
void channel_sums(std::int64_t rows, std::int64_t channels, const T* x, double* sum);
/// sums[c] += sum (x - centre[c]), squares[c] += sum (x - centre[c])^2: with a centre among the data, a variance of
/// data far from zero is exact.
template <class T>
void channel_moments(std::int64_t rows, std::int64_t channels, const T* x, const double* centre, double* sums,
                     double* squares);
/// sum_g[c] = sum g, sum_gx[c] = sum g x (overwritten).
template <class T>
void channel_dots(std::int64_t rows, std::int64_t channels, const T* g, const T* x, double* sum_g, double* sum_gx);
/// y = what the map makes of x, residual added before the activation (null: none).
template <class T>
void map_channels(const ChannelMap<T>& m, const T* x, const T* residual, T* y);
/// channel_dots of g', g times the slope of the map's activation at x, or, where its result y is given (not null), at
/// y: centre, factor and shift are not read then. g' is kept in `masked_grad` unless that is null. A null sum_gx: sum_g alone,
/// and with y given x is not read.
template <class T>
void activation_grad_dots(const ChannelMap<T>& m, const T* x, const T* g, const T* y, T* masked_grad, double* sum_g,
                          double* sum_gx);
/// dx = factor[c] g' - ((x - centre[c]) scale_x[c] + offset[c]), g' = g times the slope of the map's activation at x. Null
/// scale_x and offset: the first term alone.
template <class T>
void norm_grad(const ChannelMap<T>& m, const T* scale_x, const T* offset, const T* x, const T* g, T* dx);

}  // namespace vg::kernels
