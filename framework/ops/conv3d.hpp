// 3-D convolution on channels-last Variables. Its three passes are bilinear, and the vjp of each consists of the other
// two. Each is therefore an op of its own, which gives gradients of any order.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>

#include "voxgrad/framework/autograd/autocast.hpp"
#include "voxgrad/framework/autograd/variable.hpp"

namespace vg {

/// Spatial arguments in the order H, W, D.
struct Conv3dArgs {
  Triple stride{1, 1, 1};
  /// (before, after); negative values crop, at most the (dilated) extent.
  std::array<std::pair<std::int64_t, std::int64_t>, 3> padding{};
  Triple lhs_dilation{1, 1, 1};
  Triple rhs_dilation{1, 1, 1};
  std::int64_t groups = 1;
  Compute compute = Compute::automatic;  ///< for the op and its gradients
};

/// Output extents of a convolution of `in_size` with `kernel_size`: (in_eff + lo + hi - k_eff) / stride + 1, and at
/// least 0. An output that the kernel does not fit into is empty, which is no error here (the layers reject it). Throws
/// ValueError, beginning with [where], for padding that crops more than the extent of an axis and for values above
/// 2^31.
Triple conv3d_out_size(const Triple& in_size, const Triple& kernel_size, const Conv3dArgs& args,
                       std::string_view where = "conv3d");

/// x (B, H, W, D, C), w (kh, kw, kd, C / groups, O) -> (B, H', W', D', O): cross-correlation, as
/// jax.lax.conv_general_dilated. If x or w has an infinity, the result may be NaN where the direct sum is infinite,
/// because Winograd algorithms add inputs with both signs. Throws ValueError / TypeError beginning with "[conv3d]".
Variable conv3d(const Variable& x, const Variable& w, const Conv3dArgs& args = {});
/// The gradient (B, in_size, C) of <conv3d(x, w), grad> with respect to x: also the transposed convolution of grad.
Variable conv3d_grad_input(const Variable& grad, const Variable& w, const Triple& in_size, const Conv3dArgs& args = {});
/// The gradient (kernel_size, C / groups, O) of <conv3d(x, w), grad> with respect to w.
Variable conv3d_grad_weight(const Variable& x, const Variable& grad, const Triple& kernel_size,
                            const Conv3dArgs& args = {});

/// brainstate.nn.ConvTranspose3d: x (B, H, W, D, C), w (kh, kw, kd, O, C / groups) -> (B, H', W', D', O). The kernel is
/// flipped in space. x is dilated by `stride`; `padding` is added to the dilated input, the opposite of PyTorch's.
struct ConvTranspose3dArgs {
  Triple stride{1, 1, 1};
  std::array<std::pair<std::int64_t, std::int64_t>, 3> padding{};
  Triple rhs_dilation{1, 1, 1};
  std::int64_t groups = 1;
  Compute compute = Compute::automatic;  ///< for the op and its gradients
};
Variable conv_transpose3d(const Variable& x, const Variable& w, const ConvTranspose3dArgs& args = {});

}  // namespace vg
