// The direct algorithm. It computes every product of the definition, for any problem. Internal: conv3d.cpp chooses it,
// and bf16.cpp passes pairs as operands.
#pragma once

#include <cstdint>

#include "voxgrad/framework/kernels/common/epilogue.hpp"
#include "voxgrad/framework/kernels/common/kernel_table.hpp"
#include "voxgrad/framework/kernels/common/problem.hpp"

namespace vg::kernels::direct {

/// y = the data pass over p with the weights w. With `transpose` (grad_input), p is a transposed problem and w is
/// reversed. The epilogue is applied by the tasks, or, if these do not write whole voxels, in a pass after them.
template <class T>
void data_pass(const Conv3dProblem& p, bool transpose, const T* x, const T* w, T* y, const Epilogue<T>& epilogue);

template <class T>
void grad_weight(const Conv3dProblem& p, const T* x, const T* dy, T* dw);

/// Whether lanes run over the output channels of several groups, for which DenseKernels have no kernels.
bool lanes_over_groups(const Conv3dProblem& p, std::int64_t lanes);

/// The products and sums of igemm_narrow (lanes over the reduction), divided by the products of igemm (lanes over the
/// output channels).
double igemm_narrow_share(const Conv3dProblem& p, std::int64_t lanes);
/// Whether igemm_narrow is faster than igemm.
bool igemm_is_narrow(const Conv3dProblem& p, std::int64_t lanes);

/// Whether wgrad_narrow is faster than wgrad, whose smallest vector has least_lanes.
bool wgrad_is_narrow(const Conv3dProblem& p, std::int64_t lanes, std::int64_t least_lanes);

/// The data pass with `kernel`, one of the DenseKernels, on weights that were packed for it with `group_size` elements
/// per group.
template <class T>
void data_pass_packed(const Conv3dProblem& p, IgemmKernel<T> kernel, std::int64_t lanes, const T* x, const T* w,
                      std::int64_t group_size, Sum<T>* y, const Epilogue<Sum<T>>& epilogue = {});

/// grad_weight with `kernel`, which computes the channels of all groups in one call if `over_groups`.
template <class T>
void grad_weight_by(const Conv3dProblem& p, WgradKernel<T> kernel, std::int64_t lanes, bool over_groups, const T* x,
                    const T* dy, Sum<T>* dw);

}  // namespace vg::kernels::direct
