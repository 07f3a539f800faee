// The three passes of a 3-D convolution on raw memory, run by the kernel set in force (kernel_set.hpp), threaded.
// T is float or double. Outputs are overwritten. Same set, same inputs: the same bits for any number of threads.
#pragma once

#include "framework/kernels/conv3d_problem.hpp"

namespace vg::kernels {

/// y = x (*) w
template <class T>
void conv3d_forward(const Conv3dProblem& p, const T* x, const T* w, T* y);
/// dx: the gradient of <y, dy> with respect to x
template <class T>
void conv3d_grad_input(const Conv3dProblem& p, const T* dy, const T* w, T* dx);
/// dw: the gradient of <y, dy> with respect to w
template <class T>
void conv3d_grad_weight(const Conv3dProblem& p, const T* x, const T* dy, T* dw);

}  // namespace vg::kernels
