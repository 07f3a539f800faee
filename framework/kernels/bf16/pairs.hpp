// Problems and operands in pairs of bf16. Internal to bf16.cpp.
//
// A kernel for pairs multiplies (a, b) and (c, d) to a c + b d, so the sum of a convolution must be cut into pairs of
// products. Each way to do that gives another convolution, over pairs, which the drivers and kernels of f32 can run:
//  * pairs of channels (forward, grad_input): adjacent input channels form pairs; a zero completes the last one;
//  * pairs of taps (the same, with one or few channels): along an axis, taps 2 k and 2 k + 1 read x[i] and
//    x[i + rhs_dilation], for any i, so half as many taps with twice the dilation read those pairs;
//  * pairs of outputs (grad_weight): along an axis, outputs 2 q and 2 q + 1 read x[i] and x[i + stride], so half as
//    many outputs with twice the stride read those pairs.
// If one half of a pair lies outside, it is zero, and so is its product if the other factor is finite. The functions
// that make such pairs return whether all of them are finite.
#pragma once

#include <cstdint>

#include "voxgrad/framework/kernels/common/kernel_table.hpp"
#include "voxgrad/framework/kernels/common/problem.hpp"

namespace vg::kernels {

/// In place of an axis: pairs of channels.
constexpr int channel_pairs = -1;

/// The cheapest pairs for a data pass over p: an axis or channel_pairs.
int data_pass_pairing(const Conv3dProblem& p);
/// The problem of the data pass over pairs; for channel_pairs, a group has `pairs` of them.
Conv3dProblem data_pass_over_pairs(const Conv3dProblem& p, int axis, std::int64_t pairs);
/// The axis of the cheapest pairs for p's grad_weight, or channel_pairs if there is none.
int weight_pairing(const Conv3dProblem& p);
/// The problem of grad_weight over pairs of outputs along an axis.
Conv3dProblem weight_over_pairs(const Conv3dProblem& p, int axis);

/// Makes `pairs` pairs of channels per group of x.
void pair_channels(const Bf16Kernels& k, const Conv3dProblem& p, std::int64_t pairs, const float* x, Bf16Pair* to);
/// Makes pairs (x[i], x[i + distance]) for -distance <= i < in_size along an axis.
bool pair_inputs(const Bf16Kernels& k, const Conv3dProblem& p, int axis, std::int64_t distance, const float* x,
                 Bf16Pair* to);
/// Makes pairs (dy[2 q], dy[2 q + 1]) along an axis.
bool pair_outputs(const Bf16Kernels& k, const Conv3dProblem& p, int axis, const float* dy, Bf16Pair* to);
/// Makes the weights of data_pass_over_pairs in the order of p's, to pack as weights_of(problem of pairs, to,
/// transpose).
bool pair_weights(const Bf16Kernels& k, const Conv3dProblem& p, int axis, std::int64_t pairs, bool transpose,
                  const float* w, Bf16Pair* to);

}  // namespace vg::kernels
