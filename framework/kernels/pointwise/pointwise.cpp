#include "voxgrad/framework/kernels/pointwise/pointwise.hpp"

#include "voxgrad/framework/kernels/common/kernel_table.hpp"

namespace vg::kernels {

using std::int64_t;

template <class T>
void accumulate(int64_t n, const T* x, T* y) {
  current_table<T>().accumulate(n, x, y);
}
template <class T>
void gelu(int64_t n, const T* x, T* y) {
  current_table<T>().gelu(n, x, y);
}
template <class T>
void gelu_grad(int64_t n, const T* x, const T* g, T* dx) {
  current_table<T>().gelu_grad(n, x, g, dx);
}
template <class T>
void channel_sums(int64_t rows, int64_t channels, const T* x, double* sum) {
  current_table<T>().channel_sums(rows, channels, x, sum);
}
template <class T>
void channel_moments(int64_t rows, int64_t channels, const T* x, const double* centre, double* sums, double* squares) {
  current_table<T>().channel_moments(rows, channels, x, centre, sums, squares);
}
template <class T>
void channel_dots(int64_t rows, int64_t channels, const T* g, const T* x, double* sum_g, double* sum_gx) {
  current_table<T>().channel_dots(rows, channels, g, x, sum_g, sum_gx);
}
template <class T>
void map_channels(const ChannelMap<T>& m, const T* x, const T* residual, T* y) {
  current_table<T>().map_channels(m, x, residual, y);
}
template <class T>
void activation_grad_dots(const ChannelMap<T>& m, const T* x, const T* g, const T* y, T* masked_grad, double* sum_g,
                          double* sum_gx) {
  current_table<T>().activation_grad_dots(m, x, g, y, masked_grad, sum_g, sum_gx);
}
template <class T>
void norm_grad(const ChannelMap<T>& m, const T* scale_x, const T* offset, const T* x, const T* g, T* dx) {
  current_table<T>().norm_grad(m, scale_x, offset, x, g, dx);
}

template void accumulate(int64_t, const float*, float*);
template void accumulate(int64_t, const double*, double*);
template void gelu(int64_t, const float*, float*);
template void gelu_grad(int64_t, const float*, const float*, float*);
template void gelu(int64_t, const double*, double*);
template void gelu_grad(int64_t, const double*, const double*, double*);
template void channel_sums(int64_t, int64_t, const float*, double*);
template void channel_sums(int64_t, int64_t, const double*, double*);
template void channel_moments(int64_t, int64_t, const float*, const double*, double*, double*);
template void channel_moments(int64_t, int64_t, const double*, const double*, double*, double*);
template void channel_dots(int64_t, int64_t, const float*, const float*, double*, double*);
template void channel_dots(int64_t, int64_t, const double*, const double*, double*, double*);
template void map_channels(const ChannelMap<float>&, const float*, const float*, float*);
template void activation_grad_dots(const ChannelMap<float>&, const float*, const float*, const float*, float*, double*,
                                   double*);
template void norm_grad(const ChannelMap<float>&, const float*, const float*, const float*, const float*, float*);
template void map_channels(const ChannelMap<double>&, const double*, const double*, double*);
template void activation_grad_dots(const ChannelMap<double>&, const double*, const double*, const double*, double*,
                                   double*, double*);
template void norm_grad(const ChannelMap<double>&, const double*, const double*, const double*, const double*, double*);

}  // namespace vg::kernels
