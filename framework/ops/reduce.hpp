// Reductions over axes (all axes if none are given). With keepdims, reduced axes stay with extent 1. Axes may be
// negative; a repeated or invalid axis is a ValueError. Sums are blocked, so that the f32 error does not grow with the
// size, and do not depend on the number of threads.
#pragma once

#include <vector>

#include "voxgrad/framework/autograd/variable.hpp"

namespace vg {

using Axes = std::vector<int>;

Variable sum(const Variable& x, const Axes& axes = {}, bool keepdims = false);
/// Throws ValueError if there are no elements to reduce.
Variable mean(const Variable& x, const Axes& axes = {}, bool keepdims = false);
/// Equal maxima share the gradient evenly. Throws ValueError if there are no elements to reduce.
Variable max(const Variable& x, const Axes& axes = {}, bool keepdims = false);
Variable min(const Variable& x, const Axes& axes = {}, bool keepdims = false);
/// log(sum(exp(x))), without overflow. Throws ValueError over zero elements (PyTorch returns -infinity).
Variable logsumexp(const Variable& x, const Axes& axes = {}, bool keepdims = false);
/// Biased variance (divides by n).
Variable var(const Variable& x, const Axes& axes = {}, bool keepdims = false);
/// Index of the first maximum along an axis, i32 (no gradient).
Tensor argmax(const Tensor& x, int axis = -1);
/// Sums x over the axes along which `shape` was broadcast to x's shape. All gradients of broadcasts use it.
Variable sum_to(const Variable& x, const Shape& shape);

}  // namespace vg
