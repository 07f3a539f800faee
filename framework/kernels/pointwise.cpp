#include "framework/kernels/pointwise.hpp"

#include "framework/kernels/kernel_table.hpp"

namespace vg::kernels {

using std::int64_t;

template <class T>
void relu(int64_t n, const T* x, T* y) {
  current_table<T>().relu(n, x, y);
}
template <class T>
void relu_grad(int64_t n, const T* x, const T* g, T* dx) {
  current_table<T>().relu_grad(n, x, g, dx);
}
template <class T>
void add(int64_t n, const T* a, const T* b, T* y) {
  current_table<T>().add(n, a, b, y);
}
template <class T>
void accumulate(int64_t n, const T* x, T* y) {
  current_table<T>().accumulate(n, x, y);
}
template <class T>
void channel_sums(int64_t rows, int64_t channels, const T* x, double* sum, double* sum_squares) {
  current_table<T>().channel_sums(rows, channels, x, sum, sum_squares);
}
template <class T>
void channel_centered_squares(int64_t rows, int64_t channels, const T* x, const double* mean, double* out) {
  current_table<T>().channel_centered_squares(rows, channels, x, mean, out);
}
template <class T>
void channel_dots(int64_t rows, int64_t channels, const T* g, const T* x, double* sum_g, double* sum_gx) {
  current_table<T>().channel_dots(rows, channels, g, x, sum_g, sum_gx);
}
template <class T>
void scale_shift(int64_t rows, int64_t channels, const T* x, const T* scale, const T* shift, T* y) {
  current_table<T>().scale_shift(rows, channels, x, scale, shift, y);
}
template <class T>
void norm_backward(int64_t rows, int64_t channels, const T* g, const T* x, const T* a, const T* b, const T* c, T* dx) {
  current_table<T>().norm_backward(rows, channels, g, x, a, b, c, dx);
}

template void relu(int64_t, const float*, float*);
template void relu(int64_t, const double*, double*);
template void relu_grad(int64_t, const float*, const float*, float*);
template void relu_grad(int64_t, const double*, const double*, double*);
template void add(int64_t, const float*, const float*, float*);
template void add(int64_t, const double*, const double*, double*);
template void accumulate(int64_t, const float*, float*);
template void accumulate(int64_t, const double*, double*);
template void channel_sums(int64_t, int64_t, const float*, double*, double*);
template void channel_sums(int64_t, int64_t, const double*, double*, double*);
template void channel_centered_squares(int64_t, int64_t, const float*, const double*, double*);
template void channel_centered_squares(int64_t, int64_t, const double*, const double*, double*);
template void channel_dots(int64_t, int64_t, const float*, const float*, double*, double*);
template void channel_dots(int64_t, int64_t, const double*, const double*, double*, double*);
template void scale_shift(int64_t, int64_t, const float*, const float*, const float*, float*);
template void scale_shift(int64_t, int64_t, const double*, const double*, const double*, double*);
template void norm_backward(int64_t, int64_t, const float*, const float*, const float*, const float*, const float*,
                            float*);
template void norm_backward(int64_t, int64_t, const double*, const double*, const double*, const double*, const double*,
                            double*);

}  // namespace vg::kernels
