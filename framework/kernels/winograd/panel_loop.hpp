// Winograd's panel loop, for few tiles and many channels, where weights need more memory than volumes. Internal;
// winograd.cpp and grad_weight.cpp choose it.
#pragma once

#include <cstdint>

#include "voxgrad/framework/kernels/common/problem.hpp"
#include "voxgrad/framework/kernels/winograd/tiling.hpp"

namespace vg::kernels::winograd {

/// Whether the panel loop fits p, whose elements have `element` bytes: the transformed f2 tiles need less than twice
/// the memory of the transformed weights, which exceed 2 MiB, and fit into the workspace.
bool panel_loop_applies(const Conv3dProblem& p, std::int64_t element);
/// The same, and the tiles of `points` are f2: long and wide tiles do not use the panel loop.
bool uses_panel_loop(const Conv3dProblem& p, const Points& points, std::int64_t element);

/// The data pass with f2 tiles by the panel loop; panel_loop_applies must hold. It applies no epilogue.
template <class T>
void data_pass_panel_loop(const Conv3dProblem& p, bool transpose, const T* x, const T* w, T* y);

/// The same for grad_weight. Returns false if dw is inaccurate (sums.hpp).
template <class T>
bool grad_weight_panel_loop(const Conv3dProblem& p, const T* x, const T* dy, T* dw);

}  // namespace vg::kernels::winograd
