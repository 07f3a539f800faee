// The values of the three passes of a convolution: tensors, dtypes and bf16, above the kernels. Internal.
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

/// The shape of the output.
Shape conv_shape(const kernels::Conv3dProblem& p);
/// Counts the multiply-adds of one pass (framework/base/op_count.hpp).
void count_conv_multiply_adds(const kernels::Conv3dProblem& p);

/// x, or the parts of the concatenation that computes x if all passes read and write them in place.
std::vector<Variable> conv_parts(const Variable& x, const Convolution& c);

/// The value of the lazy convolution `conv`, with an epilogue.
template <class T>
Tensor conv_value(const Lazy& conv, const kernels::Epilogue<T>& epilogue);
/// Materializes x, which `conv` computes, and returns the sums over its voxels, collected in the same pass.
kernels::Moments conv_moments(const Variable& x, const Lazy& conv);
/// The gradients of x, in parts of these shapes with adjacent channels, and of w.
std::vector<Tensor> conv_grad_input_value(const Variable& grad, const Variable& w, const Convolution& c,
                                          const std::vector<Shape>& parts);
Tensor conv_grad_weight_value(const std::vector<Variable>& parts, const Variable& grad, const Convolution& c);

}  // namespace vg::detail
