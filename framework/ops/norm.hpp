// Softmax and normalisations. If the backward pass is not recorded (the usual case), it runs fused kernels. With
// create_graph it uses elementwise ops and reductions, so it is differentiable to any order.
#pragma once

#include "voxgrad/framework/autograd/variable.hpp"

namespace vg {

/// Both normalise along one axis and keep the shape. They throw ValueError for an invalid axis, TypeError for i32.
Variable softmax(const Variable& x, int axis = -1);
Variable log_softmax(const Variable& x, int axis = -1);

/// Normalises x (B, ..., C) over all axes except the batch and within groups of C / groups channels: (x - mean) /
/// sqrt(var + eps) * scale + bias, with the biased variance. scale and bias have C entries each, or are undefined for
/// none. groups = C is instance normalisation. Throws ValueError unless groups divides C.
Variable group_norm(const Variable& x, std::int64_t groups, const Variable& scale, const Variable& bias, double eps);

/// Normalises over the last `axes` axes; scale and bias have their shape (or are undefined).
Variable layer_norm(const Variable& x, int axes, const Variable& scale, const Variable& bias, double eps);

/// Normalises each channel of x (B, ..., C) over all other axes by the batch's own mean and biased variance, which are
/// returned in `mean` and `var` (tensors of C entries) for running statistics.
struct BatchNormResult {
  Variable output;
  Tensor mean, var;
};
BatchNormResult batch_norm(const Variable& x, const Variable& scale, const Variable& bias, double eps);
/// (x - mean) / sqrt(var + eps) * scale + bias per channel with given mean and var (evaluation).
Variable normalize(const Variable& x, const Tensor& mean, const Tensor& var, const Variable& scale,
                   const Variable& bias, double eps);

}  // namespace vg
