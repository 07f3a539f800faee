// Problems and operands in pairs of bf16. Internal to bf16.cpp.
//
// A kernel for pairs multiplies (a, b) and (c, d) to a c + b d, so the sum of a convolution must be cut into pairs of
// products. Each way to do that is again a convolution, over pairs, which the plans and bodies of f32 know how to run:
//  * of channels (forward, grad_input): pairs of adjacent input channels, the last one filled with zero;
//  * of taps (the same, where there is one channel or so): along an axis, tap 2 k and 2 k + 1 meet x[i] and
//    x[i + rhs_dilation], for any i; half as many taps with twice the dilation meet those pairs;
//  * of outputs (grad_weight): along an axis, outputs 2 q and 2 q + 1 meet x[i] and x[i + stride]; half as many outputs
//    with twice the stride meet those pairs.
// Where one half of a pair lies outside it is zero, and so is its product, if the other factor is finite: the functions
// that make pairs with such edges tell whether all are.
#pragma once

#include <cstdint>

#include "voxgrad/framework/kernels/common/kernel_table.hpp"
#include "voxgrad/framework/kernels/common/problem.hpp"

namespace vg::kernels {

/// No axis: pairs of channels.
constexpr int channel_pairs = -1;

/// The cheapest way for a data pass over p: an axis or channel_pairs.
int gather_pairing(const Conv3dProblem& p);
/// The data pass over pairs, of `pairs` channels a group for channel_pairs.
Conv3dProblem gather_over_pairs(const Conv3dProblem& p, int axis, std::int64_t pairs);
/// The axis of the cheapest way for p's grad_weight, or channel_pairs where there is none.
int weight_pairing(const Conv3dProblem& p);
Conv3dProblem weight_over_pairs(const Conv3dProblem& p, int axis);

/// x in `pairs` pairs of channels a group.
void pair_channels(const Bf16Kernels& k, const Conv3dProblem& p, std::int64_t pairs, const float* x, Bf16Pair* to);
/// (x[i], x[i + distance]) for -distance <= i < in_size along an axis.
bool pair_inputs(const Bf16Kernels& k, const Conv3dProblem& p, int axis, std::int64_t distance, const float* x,
                 Bf16Pair* to);
/// (dy[2 q], dy[2 q + 1]) along an axis.
bool pair_outputs(const Bf16Kernels& k, const Conv3dProblem& p, int axis, const float* dy, Bf16Pair* to);
/// The weights of gather_over_pairs, in the order of p's: for packing as weights_of(pairs' problem, to, transpose).
bool pair_weights(const Bf16Kernels& k, const Conv3dProblem& p, int axis, std::int64_t pairs, bool transpose,
                  const float* w, Bf16Pair* to);

}  // namespace vg::kernels
