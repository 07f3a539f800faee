// Winograd's algorithm (scheme.hpp). Internal; conv3d.cpp chooses the algorithm.
#pragma once

#include "voxgrad/framework/kernels/common/concat_view.hpp"
#include "voxgrad/framework/kernels/common/epilogue.hpp"
#include "voxgrad/framework/kernels/common/problem.hpp"
#include "voxgrad/framework/kernels/winograd/scheme.hpp"

namespace vg::kernels::winograd {

/// Whether x, and y of a data pass, may consist of several tensors, each with whole vectors of channels.
template <class T>
bool supports_concat(const Conv3dProblem& p, WinogradTile tiles);

/// Like direct::data_pass; `applies` must hold. A scheme of `tiles` that does not fit the kernel is replaced by f2.
template <class T>
void data_pass(const Conv3dProblem& p, WinogradTile tiles, bool transpose, const ConcatView<const T>& x, const T* w,
               const ConcatView<T>& y, const Epilogue<T>& epilogue);

/// Like direct::grad_weight, which it calls if its own result is inaccurate (checks.hpp).
template <class T>
void grad_weight(const Conv3dProblem& p, WinogradTile tiles, const ConcatView<const T>& x, const T* dy, T* dw);

}  // namespace vg::kernels::winograd
