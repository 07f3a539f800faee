// The sizes of one 3-D convolution, for kernels and their callers. Plain data without containers or inline functions.
#pragma once

#include <cstdint>

namespace vg::kernels {

/// Spatial arrays are in the order H, W, D. Tensors are channels-last and contiguous:
///   x (batch, in_size..., in_channels), w (kernel_size..., in_channels / groups, out_channels),
///   y (batch, out_size..., out_channels).
/// In each dimension, output position o reads input position i at tap k if
///   i * lhs_dilation == o * stride - pad + k * rhs_dilation   with 0 <= i < in_size.
/// Taps without such an input contribute zero. `pad` is the padding on the low side and may be negative, which crops;
/// out_size implies the high side. Sizes of 0 (batch, in_size, out_size) are legal.
struct Conv3dProblem {
  std::int64_t batch;
  std::int64_t in_size[3], out_size[3], kernel_size[3], stride[3], pad[3], lhs_dilation[3], rhs_dilation[3];
  std::int64_t in_channels, out_channels, groups;
};

enum class Pass { forward, grad_input, grad_weight };

}  // namespace vg::kernels
