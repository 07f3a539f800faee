// 3-D convolution on channels-last Variables. The three passes are bilinear, and each one's vjp is the other two, so
// they are ops in their own right: that gives gradients of any order.
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
  /// (before, after); negative crops, at most the (dilated) extent.
  std::array<std::pair<std::int64_t, std::int64_t>, 3> padding{};
  Triple lhs_dilation{1, 1, 1};
  Triple rhs_dilation{1, 1, 1};
  std::int64_t groups = 1;
  Compute compute = Compute::automatic;  ///< of the op and of its gradients
};

/// Output extents of a convolution of `in_size` with `kernel_size`: (in_eff + lo + hi - k_eff) / stride + 1, never
/// below 0: an output that the kernel does not fit into is empty, and no error here (the layers refuse it). Throws
/// ValueError, beginning with [where], for padding that crops more than an axis has, and for a number past 2^31.
Triple conv3d_out_size(const Triple& in_size, const Triple& kernel_size, const Conv3dArgs& args,
                       std::string_view where = "conv3d");

/// x (B, H, W, D, C), w (kh, kw, kd, C / groups, O) -> (B, H', W', D', O): cross-correlation, as
/// jax.lax.conv_general_dilated. An infinity in x or w may come out as a NaN where the direct sum would be infinite,
/// because Winograd's algorithms add inputs with both signs. Throws ValueError / TypeError beginning with "[conv3d]".
Variable conv3d(const Variable& x, const Variable& w, const Conv3dArgs& args = {});
/// The gradient of <conv3d(x, w), grad> with respect to x, of spatial extents in_size: also transposed convolution.
Variable conv3d_grad_input(const Variable& grad, const Variable& w, const Triple& in_size, const Conv3dArgs& args = {});
/// The gradient of <conv3d(x, w), grad> with respect to w, of spatial extents kernel_size.
Variable conv3d_grad_weight(const Variable& x, const Variable& grad, const Triple& kernel_size,
                            const Conv3dArgs& args = {});

/// brainstate.nn.ConvTranspose3d: x (B, H, W, D, C), w (kh, kw, kd, O, C / groups), flipped in space, over an input
/// dilated by `stride` and padded by `padding` (added to the dilated input, the opposite of PyTorch's).
struct ConvTranspose3dArgs {
  Triple stride{1, 1, 1};
  std::array<std::pair<std::int64_t, std::int64_t>, 3> padding{};
  Triple rhs_dilation{1, 1, 1};
  std::int64_t groups = 1;
  Compute compute = Compute::automatic;  ///< of the op and of its gradients
};
Variable conv_transpose3d(const Variable& x, const Variable& w, const ConvTranspose3dArgs& args = {});

}  // namespace vg
