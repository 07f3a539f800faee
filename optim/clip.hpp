// Gradient clipping. The optimizers clip by themselves (clip_norm, clip_value) without changing the gradients that you
// see. These functions are for loops that need the norm, or that clip only part of a model.
#pragma once

#include "voxgrad/framework/nn/state.hpp"
#include "voxgrad/framework/transforms/grad.hpp"

namespace vg {

/// The 2-norm of all gradients together, over the grad() of each leaf that has one. Each state counts once. The squares
/// are summed in double, in an order that does not depend on the number of threads.
double global_norm(const States& states);
/// The 2-norm of gradients returned by vg::grad. A state with two paths appears, and counts, twice.
double global_norm(const StateGrads& grads);

/// Multiplies all gradients by min(1, max_norm / (norm + 1e-6)) and returns the norm before that, as
/// torch.nn.utils.clip_grad_norm_ does. Throws ValueError unless max_norm is above 0; infinity clips nothing. The
/// results are new tensors, so a tensor that shares an old gradient's buffer does not change. If the norm is not
/// finite, infinite gradients become NaN and finite ones 0; with a NaN, all become NaN. So the error stays visible.
/// With error_if_nonfinite it throws ValueError instead, and nothing changes.
double clip_by_global_norm(const States& states, double max_norm, bool error_if_nonfinite = false);
double clip_by_global_norm(StateGrads& grads, double max_norm, bool error_if_nonfinite = false);

/// Clamps every element to [-max_value, max_value] (above 0); NaN stays NaN. Like torch.nn.utils.clip_grad_value_.
void clip_by_value(const States& states, double max_value);
void clip_by_value(StateGrads& grads, double max_value);

namespace detail {
/// The norm over the defined tensors, which must be floating.
double norm_of(const std::vector<Tensor>& grads);
/// min(1, max_norm / (norm + 1e-6)); NaN for a NaN norm.
double clip_factor(double norm, double max_norm);
}  // namespace detail

}  // namespace vg
