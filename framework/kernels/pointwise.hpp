// Pointwise and per-channel loops on contiguous ranges, run by the kernel set in force. T is float or double. They use
// no threads: callers cut by shape and run ranges in parallel. Data with channels is channels-last, `rows` x
// `channels`; sums are in double. An output may be one of the inputs (in place), but may not overlap one otherwise.
#pragma once

#include <cstdint>

namespace vg::kernels {

/// y = max(x, 0); NaN stays NaN.
template <class T>
void relu(std::int64_t n, const T* x, T* y);
/// dx = x > 0 ? g : 0, where x is relu's input or its output.
template <class T>
void relu_grad(std::int64_t n, const T* x, const T* g, T* dx);
/// y = a + b
template <class T>
void add(std::int64_t n, const T* a, const T* b, T* y);
/// y += x
template <class T>
void accumulate(std::int64_t n, const T* x, T* y);

/// sum[c], sum_squares[c] = the sums of x and of its squares (overwritten).
template <class T>
void channel_sums(std::int64_t rows, std::int64_t channels, const T* x, double* sum, double* sum_squares);
/// out[c] = sum (x - mean[c])^2 (overwritten): the second pass of a variance, exact for data far from zero.
template <class T>
void channel_centered_squares(std::int64_t rows, std::int64_t channels, const T* x, const double* mean, double* out);
/// sum_g[c] = sum g, sum_gx[c] = sum g x (overwritten).
template <class T>
void channel_dots(std::int64_t rows, std::int64_t channels, const T* g, const T* x, double* sum_g, double* sum_gx);
/// y = scale[c] x + shift[c]
template <class T>
void scale_shift(std::int64_t rows, std::int64_t channels, const T* x, const T* scale, const T* shift, T* y);
/// dx = a[c] g + b[c] x + c[c]
template <class T>
void norm_backward(std::int64_t rows, std::int64_t channels, const T* g, const T* x, const T* a, const T* b, const T* c,
                   T* dx);

}  // namespace vg::kernels
