// The three passes of a 3-D convolution on raw memory, run by the kernel set in force (kernel_set.hpp) on all threads.
// T is float or double. Outputs are overwritten. One kernel set gives the same bits with any number of threads.
#pragma once

#include <cstddef>

#include "voxgrad/framework/kernels/common/concat_view.hpp"
#include "voxgrad/framework/kernels/common/epilogue.hpp"
#include "voxgrad/framework/kernels/common/problem.hpp"

namespace vg::kernels {

/// y = x (*) w, with an epilogue. The channels of x may be split over several tensors, which are read in place, without
/// a concatenated copy. Allowed if conv3d_supports_concat is true, and always for one tensor (`single`).
template <class T>
void conv3d_forward_concat(const Conv3dProblem& p, const ConcatView<const T>& x, const T* w, T* y,
                           const Epilogue<T>& epilogue = {});
/// dx: the gradient of <y, dy> with respect to x
template <class T>
void conv3d_grad_input_concat(const Conv3dProblem& p, const T* dy, const T* w, const ConcatView<T>& dx);
/// dw: the gradient of <y, dy> with respect to w
template <class T>
void conv3d_grad_weight_concat(const Conv3dProblem& p, const ConcatView<const T>& x, const T* dy, T* dw);

/// The same for one tensor, without an epilogue.
template <class T>
void conv3d_forward(const Conv3dProblem& p, const T* x, const T* w, T* y) {
  conv3d_forward_concat(p, single(x, p.in_channels), w, y);
}
template <class T>
void conv3d_grad_input(const Conv3dProblem& p, const T* dy, const T* w, T* dx) {
  conv3d_grad_input_concat(p, dy, w, single(dx, p.in_channels));
}
template <class T>
void conv3d_grad_weight(const Conv3dProblem& p, const T* x, const T* dy, T* dw) {
  conv3d_grad_weight_concat(p, single(x, p.in_channels), dy, dw);
}

/// Whether a pass supports `count` tensors with these numbers of channels.
template <class T>
bool conv3d_supports_concat(const Conv3dProblem& p, Pass pass, const std::int64_t* channels, std::size_t count);

}  // namespace vg::kernels
