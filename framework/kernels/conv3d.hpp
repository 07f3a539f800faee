// The three passes of a 3-D convolution on raw memory, run by the kernel set in force (kernel_set.hpp) on all threads.
// T is float or double. Outputs are overwritten. One kernel set gives the same bits with any number of threads.
#pragma once

#include <cstddef>

#include "voxgrad/framework/kernels/common/concat_view.hpp"
#include "voxgrad/framework/kernels/common/epilogue.hpp"
#include "voxgrad/framework/kernels/common/problem.hpp"

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

/// The same passes where the channels of x (and dx) are split over several tensors. These are read and written in
/// place, without a concatenated copy. Allowed if conv3d_supports_concat is true, and always for one tensor (`single`).
template <class T>
void conv3d_forward_concat(const Conv3dProblem& p, const ConcatView<const T>& x, const T* w, T* y,
                           const Epilogue<T>& epilogue = {});
template <class T>
void conv3d_grad_input_concat(const Conv3dProblem& p, const T* dy, const T* w, const ConcatView<T>& dx);
template <class T>
void conv3d_grad_weight_concat(const Conv3dProblem& p, const ConcatView<const T>& x, const T* dy, T* dw);

/// Whether a pass supports `count` tensors with these numbers of channels.
template <class T>
bool conv3d_supports_concat(const Conv3dProblem& p, Pass pass, const std::int64_t* channels, std::size_t count);

}  // namespace vg::kernels
