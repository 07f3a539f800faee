// Gradient clipping. The optimizers do it themselves (clip_norm, clip_value), without touching the gradients that you
// see; these are for loops that want the norm, or clip only part of a model.
#pragma once

#include "voxgrad/framework/nn/state.hpp"
#include "voxgrad/framework/transforms/grad.hpp"

namespace vg {

/// The 2-norm of all gradients together: each leaf's grad(), those without one left out; each state once. The squares
/// are summed in double, in an order that does not depend on the number of threads.
double global_norm(const States& states);
/// The same of gradients returned by vg::grad (a state reachable by two paths stands there, and counts, twice).
double global_norm(const StateGrads& grads);

/// Multiplies all gradients by min(1, max_norm / (norm + 1e-6)) and returns the norm before, as
/// torch.nn.utils.clip_grad_norm_. max_norm must be above 0 (ValueError); with infinity nothing is clipped. New tensors
/// are set: one that shares the old gradient's buffer is not changed. A norm that is not finite: an infinite gradient
/// becomes NaN and the finite ones 0; with a NaN all become NaN. So the trouble stays visible; with error_if_nonfinite
/// it is a ValueError instead and nothing changes.
double clip_by_global_norm(const States& states, double max_norm, bool error_if_nonfinite = false);
double clip_by_global_norm(StateGrads& grads, double max_norm, bool error_if_nonfinite = false);

/// Limits every element to [-max_value, max_value] (above 0); NaN stays NaN. torch.nn.utils.clip_grad_value_.
void clip_by_value(const States& states, double max_value);
void clip_by_value(StateGrads& grads, double max_value);

namespace detail {
/// The norm over the defined tensors, all floating.
double norm_of(const std::vector<Tensor>& grads);
/// min(1, max_norm / (norm + 1e-6)), NaN for a NaN norm.
double clip_factor(double norm, double max_norm);
}  // namespace detail

}  // namespace vg
