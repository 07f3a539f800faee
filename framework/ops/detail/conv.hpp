// The passes of a convolution as ops, after all checks, and lazy convolutions. Internal.
#pragma once

#include <optional>

#include "voxgrad/framework/autograd/variable.hpp"
#include "voxgrad/framework/kernels/common/epilogue.hpp"
#include "voxgrad/framework/kernels/common/problem.hpp"

namespace vg::detail {

/// A problem, and whether its operands are multiplied in bf16. The gradients use the same setting, even outside of the
/// scope that chose it.
struct Convolution {
  kernels::Conv3dProblem p;
  bool bf16;
};

/// The three passes. <y, grad> is linear in x, w and grad, and each pass is its derivative with respect to one of them,
/// so the vjp of each pass consists of the other two. `conv_forward` is lazy (framework/autograd/lazy.hpp).
Variable conv_forward(const Variable& x, const Variable& w, const Convolution& c);
Variable conv_grad_input(const Variable& grad, const Variable& w, const Convolution& c);
Variable conv_grad_weight(const Variable& x, const Variable& grad, const Convolution& c);

/// If v is a lazy convolution, materializes it and returns the sums over its voxels, collected in the same pass.
std::optional<kernels::Moments> lazy_moments(const Variable& v);

/// If v is a lazy convolution without another handle, the map of v, applied in the pass that computes v; else
/// undefined. T is v's element type.
template <class T>
Tensor conv_with_epilogue(const Variable& v, const kernels::ChannelMap<T>& map);

}  // namespace vg::detail
