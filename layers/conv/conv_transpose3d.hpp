// ConvTranspose3d: brainstate.nn.ConvTranspose3d in C++.
#pragma once

#include "voxgrad/layers/conv/conv_layer3d.hpp"

namespace vg {

struct ConvTranspose3dOptions {
  Size in_size{};
  std::int64_t out_channels = 0;  ///< required
  TripleArg kernel_size{};        ///< required
  TripleArg stride = 1;           ///< the dilation of the input, which is the growth of its extents
  Padding padding = "SAME";       ///< explicit pads are added to the dilated input (PyTorch's remove outputs)
  TripleArg rhs_dilation = 1;
  std::int64_t groups = 1;
  Initializer w_init = init::XavierNormal();
  Initializer b_init = std::nullopt;
  Initializer w_mask = std::nullopt;
  bool channel_first = false;
  Compute compute = Compute::automatic;
  std::string name{};

  void fields(Fields& f);
};

/// Transposed convolution: the kernel, flipped in space, is applied to the input dilated by `stride`. x (B, H, W, D, C)
/// -> (B, H', W', D', out_channels), where H' is H * stride with SAME and (H - 1) * stride + max(k, stride) with VALID,
/// for an effective kernel extent k. The kernel is (kh, kw, kd, out_channels, in_channels / groups). Everything else is
/// as in Conv3d.
class ConvTranspose3d : public ConvLayerWith<ConvTranspose3dOptions> {
 public:
  explicit ConvTranspose3d(ConvTranspose3dOptions options);
  std::string kind() const override { return "ConvTranspose3d"; }

 protected:
  Shape kernel_shape(std::int64_t in_channels) const override;
  Triple spatial_out(const Triple& in) const override;
  Variable convolve(const Variable& x, const Variable& kernel) const override;

 private:
  std::array<Pads, 3> pads() const;
};

}  // namespace vg
