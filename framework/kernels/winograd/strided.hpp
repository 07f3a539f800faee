// Winograd's F(2, 2) for convolutions with stride 2 and three taps along each axis, and for those with input dilation
// 2, which are their backward-data passes and transposed convolutions (strided-inl.hpp). Internal; winograd.cpp chooses
// it.
#pragma once

#include <cstdint>

#include "voxgrad/framework/kernels/common/epilogue.hpp"
#include "voxgrad/framework/kernels/common/problem.hpp"

namespace vg::kernels::winograd {

/// Whether p has, along all axes, three taps without dilation, and either stride 2 and no input dilation or, not for
/// grad_weight, stride 1 and input dilation 2. It must have one group.
bool is_strided(const Conv3dProblem& p, Pass pass);

/// Number of tiles; is_strided must hold. A tile has 2 x 2 x 2 outputs, or 4 x 4 x 4 with an input dilation.
std::int64_t strided_tiles(const Conv3dProblem& p);

/// Like winograd::data_pass, with one tensor for x and one for y.
template <class T>
void data_pass_strided(const Conv3dProblem& p, bool transpose, const T* x, const T* w, T* y,
                       const Epilogue<T>& epilogue);

/// Like winograd::grad_weight, but returns false if dw is inaccurate (sums.hpp).
template <class T>
bool grad_weight_strided(const Conv3dProblem& p, const T* x, const T* dy, T* dw);

}  // namespace vg::kernels::winograd
