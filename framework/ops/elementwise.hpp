// Elementwise ops. Binary ones broadcast as numpy does; both sides must have the same dtype (TypeError). A double
// beside a Variable takes that Variable's dtype. All are differentiable to any order, but comparisons and sign.
#pragma once

#include "voxgrad/framework/autograd/variable.hpp"

namespace vg {

Variable add(const Variable& a, const Variable& b);
Variable sub(const Variable& a, const Variable& b);
Variable mul(const Variable& a, const Variable& b);
Variable div(const Variable& a, const Variable& b);
/// a^b with b a number; pow(x, 0) has gradient 0 everywhere.
Variable pow(const Variable& a, double b);
/// a^b elementwise, a > 0 where b's gradient is wanted.
Variable pow(const Variable& a, const Variable& b);
/// A NaN on either side is the result. Where both are equal, each side gets half of the gradient; at a NaN maximum
/// gives neither side any, minimum both all of it.
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
/// Gradient 0 at 0 and at NaN; the value of a NaN is NaN. The last handle of a value that waits
/// (framework/autograd/lazy.hpp) may be moved in: then that value need not come about at all.
Variable relu(Variable x);
/// x, or negative_slope * x where x is not positive; the gradient is negative_slope at 0 and at NaN.
Variable leaky_relu(Variable x, double negative_slope = 0.01);
/// x, or slope * x where x is not positive (or NaN): torch.nn.PReLU over the last axis. slope (1,) or (C,) for x (...,
/// C), of x's dtype; any other shape is a ValueError.
Variable prelu(const Variable& x, const Variable& slope);
/// x, or alpha * (e^x - 1) where x is not positive: torch.nn.ELU. Gradient NaN at NaN. Throws ValueError unless alpha
/// >= 0.
Variable elu(const Variable& x, double alpha = 1);
/// x * Phi(x): by erf, as the layer GELU and PyTorch's default; with `approximate` by tanh, as the default of jax's and
/// brainstate's function.
Variable gelu(Variable x, bool approximate = false);
Variable silu(const Variable& x);  ///< x * sigmoid(x)
/// Limits to [low, high]; gradient 1 inside and on the bounds, else 0, at NaN too; the value of a NaN is NaN. Throws
/// ValueError unless low <= high.
Variable clip(const Variable& x, double low, double high);

/// Comparisons: an i32 Variable of 0 and 1, no gradient; any dtype, the same on both sides.
Variable equal(const Variable& a, const Variable& b);
Variable not_equal(const Variable& a, const Variable& b);
Variable less(const Variable& a, const Variable& b);
Variable less_equal(const Variable& a, const Variable& b);
Variable greater(const Variable& a, const Variable& b);
Variable greater_equal(const Variable& a, const Variable& b);
/// condition (i32, nonzero means true) ? a : b, all three broadcast.
Variable where(const Variable& condition, const Variable& a, const Variable& b);
/// The value as another dtype; differentiable between f32 and f64.
Variable cast(const Variable& x, DType dtype);

/// into += x, both of the same shape and dtype, on tensors (no graph): the engine adds gradients with it.
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
/// Divides (not: multiplies by the reciprocal, which rounds differently).
Variable operator/(const Variable& a, double b);
Variable operator/(double a, const Variable& b);

}  // namespace vg
