// Softmax and normalisations. With recording off in their backward (the usual case) they run fused kernels; with
// create_graph they are written in elementwise ops and reductions, and so differentiable to any order.
#pragma once

#include "voxgrad/framework/autograd/variable.hpp"

namespace vg {

Variable softmax(const Variable& x, int axis = -1);
Variable log_softmax(const Variable& x, int axis = -1);

/// Normalises x (B, ..., C) over all axes but the batch and within groups of C / groups channels: (x - mean) / sqrt(var
/// + eps), biased variance, then * scale + bias, each of C entries, either undefined for none. groups = C is instance
/// normalisation. Throws ValueError unless groups divides C.
Variable group_norm(const Variable& x, std::int64_t groups, const Variable& scale, const Variable& bias, double eps);

/// Normalises over the last axis... the last `axes` axes, scale and bias of that shape (or undefined).
Variable layer_norm(const Variable& x, int axes, const Variable& scale, const Variable& bias, double eps);

/// Normalises each channel of x (B, ..., C) over everything else by the batch's own mean and biased variance, which
/// come back in `mean` and `var` (tensors of C entries) for running statistics.
struct BatchNormResult {
  Variable output;
  Tensor mean, var;
};
BatchNormResult batch_norm(const Variable& x, const Variable& scale, const Variable& bias, double eps);
/// (x - mean) / sqrt(var + eps) * scale + bias a channel, mean and var given (evaluation).
Variable normalize(const Variable& x, const Tensor& mean, const Tensor& var, const Variable& scale,
                   const Variable& bias, double eps);

}  // namespace vg
