// The passes of a convolution as ops, after all checks, and the values of lazy convolutions. Internal.
#pragma once

#include "voxgrad/framework/autograd/variable.hpp"
#include "voxgrad/framework/kernels/common/epilogue.hpp"
#include "voxgrad/framework/kernels/common/problem.hpp"

namespace vg::detail {

struct Lazy;

/// A problem, and whether its operands are multiplied in bf16. The gradients use the same setting, even outside of the
/// scope that chose it.
struct Convolution {
  kernels::Conv3dProblem p{};
  bool bf16 = false;
};

/// The three passes. <y, grad> is linear in x, w and grad, and each pass is its derivative with respect to one of them,
/// so the vjp of each pass consists of the other two. `conv_forward` is lazy (framework/autograd/lazy.hpp).
Variable conv_forward(const Variable& x, const Variable& w, const Convolution& c);
Variable conv_grad_input(const Variable& grad, const Variable& w, const Convolution& c);
/// x of conv_grad_weight may be in several parts with adjacent channels, which a fused vjp passes.
Variable conv_grad_weight(const std::vector<Variable>& parts, const Variable& grad, const Convolution& c);

/// The value of the lazy convolution `conv`, with an epilogue.
template <class T>
Tensor conv_value(const Lazy& conv, const kernels::Epilogue<T>& epilogue);
/// Materializes x, which `conv` computes, and returns the sums over its voxels, collected in the same pass.
kernels::Moments conv_moments(const Variable& x, const Lazy& conv);

}  // namespace vg::detail
