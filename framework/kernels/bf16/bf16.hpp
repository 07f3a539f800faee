// The three passes of a 3-D convolution in bf16: every operand is rounded to bf16 (to nearest even; NaN stays NaN),
// products are summed in f32, and results are f32. The set in force (bf16_set.hpp) runs them on all threads, with the
// same bits for any number of threads. Sets differ in the order of the sums; AVX512_BF16 and AMX treat denormal numbers
// as zero.
#pragma once

#include <cstdint>

#include "voxgrad/framework/kernels/common/epilogue.hpp"
#include "voxgrad/framework/kernels/common/problem.hpp"

namespace vg::kernels {

/// The bf16 nearest to x, ties to even.
std::uint16_t to_bf16(float x);
float from_bf16(std::uint16_t bits);

/// As in conv3d.hpp: y, dx and dw are overwritten.
void conv3d_forward_bf16(const Conv3dProblem& p, const float* x, const float* w, float* y,
                         const Epilogue<float>& epilogue = {});
void conv3d_grad_input_bf16(const Conv3dProblem& p, const float* dy, const float* w, float* dx);
void conv3d_grad_weight_bf16(const Conv3dProblem& p, const float* x, const float* dy, float* dw);

}  // namespace vg::kernels
