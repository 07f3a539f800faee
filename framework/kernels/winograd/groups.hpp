// Winograd's data passes for groups, and for one group whose outputs fill half a vector. Internal.
#pragma once

#include "voxgrad/framework/kernels/common/concat_view.hpp"
#include "voxgrad/framework/kernels/common/epilogue.hpp"
#include "voxgrad/framework/kernels/common/problem.hpp"
#include "voxgrad/framework/kernels/winograd/subkernels.hpp"
#include "voxgrad/framework/kernels/winograd/tiling.hpp"
#include "voxgrad/framework/kernels/winograd/transforms/table.hpp"

namespace vg::kernels::winograd {

/// Whether p has one group whose outputs fit into half a vector of the current kernel set, so that half vectors
/// (half_width, typed_tables.hpp) are used. False with five taps.
template <class T>
bool has_one_half_width_group(const Conv3dProblem& p) {
  return p.groups == 1 && SubKernels(p).all() == 1 &&
         &winograd_table<T>(p.out_channels) != &current_winograd_table<T>();
}

/// Like winograd::data_pass; no axis may have five taps.
template <class T>
void data_pass_groups(const Conv3dProblem& p, const Points& points, bool transpose, const ConcatView<const T>& x,
                      const T* w, const ConcatView<T>& y, const Epilogue<T>& epilogue);

}  // namespace vg::kernels::winograd
