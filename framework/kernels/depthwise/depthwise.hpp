// The algorithm for channels in small groups at stride 1: depthwise with any multiplier, groups of at most as many
// channels as a vector has lanes, and, without grad_weight, one group of few input channels. Internal; conv3d.cpp calls
// it where it applies.
#pragma once

#include "voxgrad/framework/kernels/common/epilogue.hpp"
#include "voxgrad/framework/kernels/common/problem.hpp"

namespace vg::kernels::depthwise {

/// Whether this algorithm suits the data pass over p or, with `weight`, p's grad_weight.
template <class T>
bool applies(const Conv3dProblem& p, bool weight);

/// As direct::data_pass. Padding is multiplied as zeros, so a weight that is not finite would reach outputs that do not
/// depend on it. If there is one, it does nothing and returns false.
template <class T>
bool data_pass(const Conv3dProblem& p, bool transpose, const T* x, const T* w, T* y, const Epilogue<T>& epilogue);

/// Returns false if a result is not finite. The reason may be a product of dy with padding, so the caller should
/// compute dw in another way.
template <class T>
bool grad_weight(const Conv3dProblem& p, const T* x, const T* dy, T* dw);

}  // namespace vg::kernels::depthwise
