// Chooses the algorithm of a pass.
#include "framework/kernels/conv3d.hpp"

#include "framework/kernels/conv3d_plan.hpp"
#include "framework/kernels/direct.hpp"

namespace vg::kernels {

template <class T>
void conv3d_forward(const Conv3dProblem& p, const T* x, const T* w, T* y) {
  direct::gather(collapsed(p), false, x, w, y);
}

template <class T>
void conv3d_grad_input(const Conv3dProblem& p, const T* dy, const T* w, T* dx) {
  direct::gather(transposed(collapsed(p)), true, dy, w, dx);
}

template <class T>
void conv3d_grad_weight(const Conv3dProblem& p, const T* x, const T* dy, T* dw) {
  direct::grad_weight(collapsed(p), x, dy, dw);
}

template void conv3d_forward<float>(const Conv3dProblem&, const float*, const float*, float*);
template void conv3d_forward<double>(const Conv3dProblem&, const double*, const double*, double*);
template void conv3d_grad_input<float>(const Conv3dProblem&, const float*, const float*, float*);
template void conv3d_grad_input<double>(const Conv3dProblem&, const double*, const double*, double*);
template void conv3d_grad_weight<float>(const Conv3dProblem&, const float*, const float*, float*);
template void conv3d_grad_weight<double>(const Conv3dProblem&, const double*, const double*, double*);

}  // namespace vg::kernels
