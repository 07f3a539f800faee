// The direct algorithm: every multiplication of the definition, on any problem. Internal; conv3d.cpp chooses.
#pragma once

#include "framework/kernels/conv3d_problem.hpp"

namespace vg::kernels::direct {

/// y = the gather over p, whose weights are w; p is transposed and w reversed if `transpose` (grad_input).
template <class T>
void gather(const Conv3dProblem& p, bool transpose, const T* x, const T* w, T* y);

template <class T>
void grad_weight(const Conv3dProblem& p, const T* x, const T* dy, T* dw);

}  // namespace vg::kernels::direct
