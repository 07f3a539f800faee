// Winograd's algorithm, F(2, 3) in every dimension where the kernel has three taps. Internal; conv3d.cpp chooses.
#pragma once

#include "framework/kernels/conv3d_problem.hpp"

namespace vg::kernels::winograd {

/// Stride 1, no input dilation, no groups, 3 taps in at least one dimension and 1 in the others; sizes, pads and the
/// kernel's dilation are free.
bool applies(const Conv3dProblem& p);

/// As the direct algorithm's; `applies(p)`.
template <class T>
void gather(const Conv3dProblem& p, bool transpose, const T* x, const T* w, T* y);

template <class T>
void grad_weight(const Conv3dProblem& p, const T* x, const T* dy, T* dw);

}  // namespace vg::kernels::winograd
