// Pointwise and per-channel loops on contiguous ranges, run by the kernel set in force. T is float or double. They use
// no threads: callers cut by shape and run ranges in parallel. Data with channels is channels-last, `rows` x
// `channels`; sums are in double. An output may be one of the inputs (in place), but may not otherwise overlap one.
#pragma once

#include <cstdint>

#include "voxgrad/framework/kernels/common/kernel_table.hpp"

namespace vg::kernels {

/// y += x
template <class T>
void accumulate(std::int64_t n, const T* x, T* y);

/// y = x Phi(x), where Phi is the normal distribution function, and dx = g times the derivative at x.
template <class T>
void gelu(std::int64_t n, const T* x, T* y);
template <class T>
void gelu_grad(std::int64_t n, const T* x, const T* g, T* dx);

/// sum[c] = the sum of x over the rows (overwritten).
template <class T>
void channel_sums(std::int64_t rows, std::int64_t channels, const T* x, double* sum);
/// sums[c] += sum (x - centre[c]), squares[c] += sum (x - centre[c])^2. With a centre among the data, the variance is
/// accurate even if the data are far from zero.
template <class T>
void channel_moments(std::int64_t rows, std::int64_t channels, const T* x, const double* centre, double* sums,
                     double* squares);
/// sum_g[c] = sum g, sum_gx[c] = sum g x (overwritten).
template <class T>
void channel_dots(std::int64_t rows, std::int64_t channels, const T* g, const T* x, double* sum_g, double* sum_gx);
/// y = the map of x. The residual is added before the activation; null means none.
template <class T>
void map_channels(const ChannelMap<T>& m, const T* x, const T* residual, T* y);
/// channel_dots of g' and x, where g' is g times the slope of the map's activation. The slope follows from the map of x
/// or, if y is not null, from the map's result y; then centre, factor and shift are not read. g' is stored in
/// `masked_grad` unless that is null. If sum_gx is null, only sum_g is computed, and x is not read if y is given.
template <class T>
void activation_grad_dots(const ChannelMap<T>& m, const T* x, const T* g, const T* y, T* masked_grad, double* sum_g,
                          double* sum_gx);
/// dx = factor[c] g' - ((x - centre[c]) scale_x[c] + offset[c]), where g' is g times the slope of the map's activation.
/// With a null scale_x and offset, dx is the first term only.
template <class T>
void norm_grad(const ChannelMap<T>& m, const T* scale_x, const T* offset, const T* x, const T* g, T* dx);

}  // namespace vg::kernels
