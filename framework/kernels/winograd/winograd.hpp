// Winograd's algorithm, F(2, 3) in every dimension where the kernel has three taps, or F(4, 3) along D. Internal;
// conv3d.cpp chooses.
#pragma once

#include "voxgrad/framework/kernels/common/concat_view.hpp"
#include "voxgrad/framework/kernels/common/epilogue.hpp"
#include "voxgrad/framework/kernels/common/problem.hpp"
#include "voxgrad/framework/kernels/winograd/tiling.hpp"

namespace vg::kernels::winograd {

/// Stride 1, no input dilation, 3 or 5 taps in at least one dimension and 1 in the others; sizes, pads and the kernel's
/// dilation are free. Groups: 3 taps at most, and not grad_weight. Or what is_strided (winograd_strided.hpp).
bool applies(const Conv3dProblem& p, Pass pass = Pass::forward);

/// Whether x (and the data pass's y) may be several tensors, with whole vectors of channels each.
template <class T>
bool supports_concat(const Conv3dProblem& p, WinogradTile tiles);

/// As the direct algorithm's; `applies` to the pass. Long tiles are taken where D has three taps.
template <class T>
bool data_pass(const Conv3dProblem& p, WinogradTile tiles, bool transpose, const ConcatView<const T>& x, const T* w,
               const ConcatView<T>& y, const Epilogue<T>& epilogue);

template <class T>
void grad_weight(const Conv3dProblem& p, WinogradTile tiles, const ConcatView<const T>& x, const T* dy, T* dw);

}  // namespace vg::kernels::winograd
