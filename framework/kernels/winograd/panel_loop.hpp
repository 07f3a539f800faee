// Winograd for few tiles and many channels, where the weights are the larger part. Internal; winograd.cpp and
// grad_weight.cpp choose.
#pragma once

#include <cstdint>

#include "voxgrad/framework/kernels/common/problem.hpp"
#include "voxgrad/framework/kernels/winograd/tiling.hpp"

namespace vg::kernels::winograd {

/// Whether all (square) tiles by point are smaller than the weights by point, and fit the workspace.
bool panel_loop_applies(const Conv3dProblem& p, std::int64_t element);
/// The same of a problem that is cut so: long and wide tiles are as ever.
bool uses_panel_loop(const Conv3dProblem& p, const Points& points, std::int64_t element);

template <class T>
void data_pass_panel_loop(const Conv3dProblem& p, bool transpose, const T* x, const T* w, T* y);

/// Returns false where dw is not worth it (sums.hpp).
template <class T>
bool grad_weight_panel_loop(const Conv3dProblem& p, const T* x, const T* dy, T* dw);

}  // namespace vg::kernels::winograd
