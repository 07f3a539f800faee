// The three passes: to the algorithm that conv3d_choice.cpp names.
#include "framework/kernels/conv3d.hpp"

#include "framework/kernels/conv3d_choice.hpp"
#include "framework/kernels/conv3d_plan.hpp"
#include "framework/kernels/direct.hpp"
#include "framework/kernels/kernel_table.hpp"
#include "framework/kernels/winograd.hpp"

namespace vg::kernels {

namespace {

template <class T>
void gather(const Conv3dProblem& p, bool transpose, const T* x, const T* w, T* y) {
  if (use_winograd(p, current_table<T>().lanes))
    winograd::gather(p, transpose, x, w, y);
  else
    direct::gather(p, transpose, x, w, y);
}

}  // namespace

template <class T>
void conv3d_forward(const Conv3dProblem& p, const T* x, const T* w, T* y) {
  gather(collapsed(p), false, x, w, y);
}

template <class T>
void conv3d_grad_input(const Conv3dProblem& p, const T* dy, const T* w, T* dx) {
  gather(transposed(collapsed(p)), true, dy, w, dx);
}

template <class T>
void conv3d_grad_weight(const Conv3dProblem& p, const T* x, const T* dy, T* dw) {
  const Conv3dProblem q = collapsed(p);
  if (use_winograd(q, current_table<T>().lanes))
    winograd::grad_weight(q, x, dy, dw);
  else
    direct::grad_weight(q, x, dy, dw);
}

template void conv3d_forward<float>(const Conv3dProblem&, const float*, const float*, float*);
template void conv3d_forward<double>(const Conv3dProblem&, const double*, const double*, double*);
template void conv3d_grad_input<float>(const Conv3dProblem&, const float*, const float*, float*);
template void conv3d_grad_input<double>(const Conv3dProblem&, const double*, const double*, double*);
template void conv3d_grad_weight<float>(const Conv3dProblem&, const float*, const float*, float*);
template void conv3d_grad_weight<double>(const Conv3dProblem&, const double*, const double*, double*);

}  // namespace vg::kernels
