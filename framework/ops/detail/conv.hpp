// The passes of a convolution as ops, after all checks, and convolutions that have not been computed yet. Internal.
#pragma once

#include <optional>

#include "voxgrad/framework/autograd/variable.hpp"
#include "voxgrad/framework/kernels/common/epilogue.hpp"
#include "voxgrad/framework/kernels/common/problem.hpp"

namespace vg::detail {

/// A problem, and whether its operands are multiplied in bf16: gradients are computed as their op was, wherever that
/// is.
struct Convolution {
  kernels::Conv3dProblem p;
  bool bf16;
};

/// The three passes. <y, grad> is linear in x, w and grad, and each pass is its derivative by one of them: so the vjp
/// of each pass is made of the other two. `conv_forward` waits for what comes next (framework/autograd/lazy.hpp).
Variable conv_forward(const Variable& x, const Variable& w, const Convolution& c);
Variable conv_grad_input(const Variable& grad, const Variable& w, const Convolution& c);
Variable conv_grad_weight(const Variable& x, const Variable& grad, const Convolution& c);

/// The sums over v's voxels, if v will be a convolution: it is computed with them, and v has its value then.
std::optional<kernels::Moments> lazy_moments(const Variable& v);

/// What the map makes of v, in the pass that computes v, if v will be a convolution that only the caller can ask for.
/// Else undefined. T is v's.
template <class T>
Tensor conv_with_epilogue(const Variable& v, const kernels::ChannelMap<T>& map);

}  // namespace vg::detail
