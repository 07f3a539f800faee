#include "voxgrad/framework/kernels/winograd/subkernels.hpp"

#include <algorithm>

namespace vg::kernels::winograd {

using std::int64_t;

SubKernels::SubKernels(const Conv3dProblem& p) : count() {
  for (int a = 0; a < 3; ++a) count[a] = p.kernel_size[a] == 5 ? 2 : 1;
}

int64_t SubKernels::along(int axis, int64_t part) const {
  for (int a = 2; a > axis; --a) part /= count[a];
  return part % count[axis];
}

Conv3dProblem shape_of_part(const Conv3dProblem& p) {
  Conv3dProblem q = p;
  for (auto& k : q.kernel_size) k = std::min<int64_t>(k, 3);
  return q;
}

template <class T>
SubKernelWeights<T>::SubKernelWeights(const Conv3dProblem& p, bool transpose, const T* w)
    : from_(weights_of(p, w, transpose)),
      part_size_(taps(shape_of_part(p)) * p.in_channels * p.out_channels),
      copies_(SubKernels(p).all() > 1 ? SubKernels(p).all() * part_size_ : 0) {
  const SubKernels parts(p);
  if (parts.all() == 1) return;
  const int64_t tap_size = p.in_channels * p.out_channels;
  std::fill_n(copies_.data(), parts.all() * part_size_, T(0));
  for (int64_t part = 0; part < parts.all(); ++part)
    each_tap(p, part, [&](int64_t of_part, int64_t of_kernel) {
      std::copy_n(from_.origin + of_kernel * from_.tap_stride, tap_size,
                  copies_.data() + part * part_size_ + of_part * tap_size);
    });
  from_.origin = copies_.data();
  from_.tap_stride = tap_size;
}

template <class T>
Weights<T> SubKernelWeights<T>::of(int64_t part) const {
  Weights<T> w = from_;
  w.origin += part * part_size_;
  return w;
}

template <class T>
void put_part(const Conv3dProblem& p, int64_t part, int64_t row, int64_t rows, const T* taps, T* dw) {
  const int64_t size = rows * p.out_channels;
  each_tap(p, part, [&](int64_t of_part, int64_t of_kernel) {
    std::copy_n(taps + of_part * size, size, dw + (of_kernel * p.in_channels + row) * p.out_channels);
  });
}

template class SubKernelWeights<float>;
template class SubKernelWeights<double>;
template void put_part<float>(const Conv3dProblem&, int64_t, int64_t, int64_t, const float*, float*);
template void put_part<double>(const Conv3dProblem&, int64_t, int64_t, int64_t, const double*, double*);

}  // namespace vg::kernels::winograd
