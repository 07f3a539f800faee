// The direct algorithm: every multiplication of the definition, on any problem. Internal; conv3d.cpp chooses, and
// bf16.cpp brings operands of its own.
#pragma once

#include <cstdint>

#include "voxgrad/framework/kernels/common/epilogue.hpp"
#include "voxgrad/framework/kernels/common/kernel_table.hpp"
#include "voxgrad/framework/kernels/common/problem.hpp"

namespace vg::kernels::direct {

/// y = the data pass over p, whose weights are w; p is transposed and w reversed if `transpose` (grad_input). Returns
/// whether the epilogue has been applied; if not, that is left to the caller.
template <class T>
bool data_pass(const Conv3dProblem& p, bool transpose, const T* x, const T* w, T* y, const Epilogue<T>& epilogue);

template <class T>
void grad_weight(const Conv3dProblem& p, const T* x, const T* dy, T* dw);

/// Whether lanes run over the output channels of several groups: what DenseKernels do not do.
bool lanes_over_groups(const Conv3dProblem& p, std::int64_t lanes);

/// What igemm_narrow (lanes over the reduction) multiplies and sums, over what igemm (lanes over the output
/// channels) multiplies.
double gather_few_share(const Conv3dProblem& p, std::int64_t lanes);
/// Whether igemm_narrow is the faster one.
bool gather_is_few(const Conv3dProblem& p, std::int64_t lanes);

/// Whether wgrad_narrow is faster than wgrad, whose smallest vector has least_lanes.
bool weight_is_few(const Conv3dProblem& p, std::int64_t lanes, std::int64_t least_lanes);

/// data pass with `kernel`, one of the DenseKernels, on weights that were packed for it, `group_size` a group.
template <class T>
bool gather_packed(const Conv3dProblem& p, IgemmKernel<T> kernel, std::int64_t lanes, const T* x, const T* w,
                   std::int64_t group_size, Sum<T>* y, const Epilogue<Sum<T>>& epilogue = {});

/// grad_weight with `kernel`; over_groups: it takes the channels of all groups at once.
template <class T>
void grad_weight_by(const Conv3dProblem& p, WgradKernel<T> kernel, std::int64_t lanes, bool over_groups, const T* x,
                    const T* dy, Sum<T>* dw);

}  // namespace vg::kernels::direct
