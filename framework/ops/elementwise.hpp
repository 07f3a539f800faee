// Elementwise ops. Binary ops broadcast as numpy does; both sides must have the same dtype (else TypeError). A double
// operand takes the dtype of the Variable. All ops except comparisons and sign are differentiable to any order.
#pragma once

#include "voxgrad/framework/autograd/variable.hpp"

namespace vg {

Variable add(const Variable& a, const Variable& b);
Variable sub(const Variable& a, const Variable& b);
Variable mul(const Variable& a, const Variable& b);
Variable div(const Variable& a, const Variable& b);
/// a^b with a number b. pow(x, 0) has gradient 0 everywhere.
Variable pow(const Variable& a, double b);
/// a^b elementwise. The gradient with respect to b needs a > 0.
Variable pow(const Variable& a, const Variable& b);
/// If either side is NaN, the result is NaN. If both sides are equal, each gets half of the gradient. Where the result
/// is NaN, maximum gives no gradient to either side, and minimum gives all of it to both.
Variable maximum(const Variable& a, const Variable& b);
Variable minimum(const Variable& a, const Variable& b);

Variable add(const Variable& a, double b);
Variable mul(const Variable& a, double b);

Variable neg(const Variable& x);
Variable abs(const Variable& x);   ///< gradient 0 at 0, NaN at NaN
Variable sign(const Variable& x);  ///< -1, 0 or 1; its gradient is zero
Variable square(const Variable& x);
Variable sqrt(const Variable& x);
Variable rsqrt(const Variable& x);  ///< 1 / sqrt(x)
Variable exp(const Variable& x);
Variable expm1(const Variable& x);
Variable log(const Variable& x);
Variable log1p(const Variable& x);
Variable sin(const Variable& x);
Variable cos(const Variable& x);
Variable tanh(const Variable& x);
Variable erf(const Variable& x);
Variable sigmoid(const Variable& x);
Variable softplus(const Variable& x);  ///< log(1 + e^x), without overflow
/// log(1 + e^(beta x)) / beta, and x where beta x is above the threshold, as torch.nn.Softplus. Throws ValueError
/// unless beta > 0.
Variable softplus(const Variable& x, double beta, double threshold = 20);
/// Gradient 0 at 0 and at NaN; the value of a NaN is NaN. If the last handle of a lazy value
/// (framework/autograd/lazy.hpp) is moved in, that value need not be computed at all.
Variable relu(Variable x);
/// x, or negative_slope * x if x is not positive. The gradient is negative_slope at 0 and at NaN.
Variable leaky_relu(Variable x, double negative_slope = 0.01);
/// x, or slope * x if x is not positive (or NaN): torch.nn.PReLU over the last axis. slope has x's dtype and shape (1,)
/// or (C,) for x (..., C); any other shape is a ValueError.
Variable prelu(const Variable& x, const Variable& slope);
/// x, or alpha * (e^x - 1) if x is not positive: torch.nn.ELU. The gradient is NaN at NaN. Throws ValueError unless
/// alpha >= 0.
Variable elu(const Variable& x, double alpha = 1);
/// x * Phi(x): by erf, as the layer GELU and PyTorch's default; with `approximate` by tanh, as the default of jax's and
/// brainstate's function.
Variable gelu(Variable x, bool approximate = false);
Variable silu(const Variable& x);  ///< x * sigmoid(x)
/// Limits x to [low, high]. The gradient is 1 inside and on the bounds, else 0, also at NaN; the value of a NaN is NaN.
/// Throws ValueError unless low <= high.
Variable clip(const Variable& x, double low, double high);

/// Comparisons: an i32 Variable of 0 and 1 without a gradient. Both sides have the same dtype, which may be any.
Variable equal(const Variable& a, const Variable& b);
Variable not_equal(const Variable& a, const Variable& b);
Variable less(const Variable& a, const Variable& b);
Variable less_equal(const Variable& a, const Variable& b);
Variable greater(const Variable& a, const Variable& b);
Variable greater_equal(const Variable& a, const Variable& b);
/// condition ? a : b, where condition is i32 and nonzero means true. All three are broadcast.
Variable where(const Variable& condition, const Variable& a, const Variable& b);
/// The value as another dtype; differentiable between f32 and f64.
Variable cast(const Variable& x, DType dtype);

/// into += x for tensors of the same shape and dtype (no graph). The reverse pass adds gradients with it.
void add_in_place(Tensor& into, const Tensor& x);

inline Variable operator+(const Variable& a, const Variable& b) { return add(a, b); }
inline Variable operator-(const Variable& a, const Variable& b) { return sub(a, b); }
inline Variable operator*(const Variable& a, const Variable& b) { return mul(a, b); }
inline Variable operator/(const Variable& a, const Variable& b) { return div(a, b); }
inline Variable operator-(const Variable& x) { return neg(x); }
inline Variable operator+(const Variable& a, double b) { return add(a, b); }
inline Variable operator+(double a, const Variable& b) { return add(b, a); }
inline Variable operator-(const Variable& a, double b) { return add(a, -b); }
inline Variable operator-(double a, const Variable& b) { return add(neg(b), a); }
inline Variable operator*(const Variable& a, double b) { return mul(a, b); }
inline Variable operator*(double a, const Variable& b) { return mul(b, a); }
/// Divides. It does not multiply by the reciprocal, which would round differently.
Variable operator/(const Variable& a, double b);
Variable operator/(double a, const Variable& b);

}  // namespace vg
