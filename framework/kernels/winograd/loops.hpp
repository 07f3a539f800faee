// The loops over the blocks of a problem. Internal; winograd.cpp chooses one.
#pragma once

#include <cstdint>

#include "voxgrad/framework/kernels/common/concat_view.hpp"
#include "voxgrad/framework/kernels/common/epilogue.hpp"
#include "voxgrad/framework/kernels/common/problem.hpp"
#include "voxgrad/framework/kernels/winograd/scheme.hpp"

namespace vg::kernels::winograd {

/// Tiles per block. The transformed values of a stage fill at most half of L2, except that a block has enough tiles for
/// one or two register tiles. A problem with few tiles is divided into two blocks.
std::int64_t block_tiles(const Conv3dProblem& p, const Scheme& scheme, std::size_t element);

/// Like winograd::data_pass.
template <class T>
void data_pass_by_blocks(const Conv3dProblem& p, const Scheme& scheme, bool transpose, const ConcatView<const T>& x,
                         const T* w, const ConcatView<T>& y, const Epilogue<T>& epilogue);

/// Like winograd::grad_weight, but returns false if dw is inaccurate (checks.hpp).
template <class T>
bool grad_weight_by_blocks(const Conv3dProblem& p, const Scheme& scheme, const ConcatView<const T>& x, const T* dy,
                           T* dw);

// The panel loop is for few tiles and many channels, where weights need more memory than volumes. It reads and writes
// single tensors.

/// Whether the panel loop fits p, whose elements have `element` bytes, and its scheme is F(2, 3): the transformed tiles
/// need less than twice the memory of the transformed weights, which exceed 2 MiB, and fit into the workspace.
bool uses_panel_loop(const Conv3dProblem& p, const Scheme& scheme, std::int64_t element);

template <class T>
void data_pass_by_panels(const Conv3dProblem& p, const Scheme& scheme, bool transpose, const T* x, const T* w, T* y,
                         const Epilogue<T>& epilogue);
/// Returns false if dw is inaccurate (checks.hpp).
template <class T>
bool grad_weight_by_panels(const Conv3dProblem& p, const Scheme& scheme, const T* x, const T* dy, T* dw);

}  // namespace vg::kernels::winograd
