// Winograd's F(2, 2) for convolutions of stride 2 and three taps along each axis, and for those of input dilation 2,
// which their gradients by x and transposed convolutions are (strided-inl.hpp). Internal; winograd.cpp
// chooses.
#pragma once

#include <cstdint>

#include "voxgrad/framework/kernels/common/epilogue.hpp"
#include "voxgrad/framework/kernels/common/problem.hpp"

namespace vg::kernels::winograd {

/// Stride 2 and no input dilation, or stride 1 and an input dilation of 2; three taps, along all axes; no dilation of
/// the kernel, one group. grad_weight: stride 2 only.
bool is_strided(const Conv3dProblem& p, Pass pass);

/// Tiles of a problem that is_strided, of 2 x 2 x 2 outputs, or 4 x 4 x 4 with an input dilation.
std::int64_t strided_tiles(const Conv3dProblem& p);

/// As winograd::data_pass, of one tensor each.
template <class T>
bool data_pass_strided(const Conv3dProblem& p, bool transpose, const T* x, const T* w, T* y,
                       const Epilogue<T>& epilogue);

/// Returns false where dw is not worth it (sums.hpp).
template <class T>
bool grad_weight_strided(const Conv3dProblem& p, const T* x, const T* dy, T* dw);

}  // namespace vg::kernels::winograd
