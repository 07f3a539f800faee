// WeightNormConv3d: a convolution whose kernel is a direction and a magnitude.
#pragma once

#include "voxgrad/layers/conv/conv3d.hpp"

namespace vg {

using WeightNormConv3dOptions = Conv3dOptions;

/// A Conv3d whose kernel is magnitude * direction / |direction| in every pass, the norm taken of each output channel:
/// torch.nn.utils.parametrizations.weight_norm(Conv3d, dim=0), after Salimans and Kingma 2016. Leaves "direction"
/// (kh, kw, kd, in_channels / groups, out_channels), which w_init draws, "magnitude" (1, 1, 1, 1, out_channels), which
/// starts as the norms, so that the kernel is then the direction, and "bias". The mask comes after the normalisation.
/// Everything else as Conv3d.
class WeightNormConv3d : public ConvLayer3d {
 public:
  explicit WeightNormConv3d(WeightNormConv3dOptions options);
  std::string kind() const override { return "WeightNormConv3d"; }
  Attributes options() const override;

 protected:
  std::string_view kernel_leaf() const override { return "direction"; }
  Shape kernel_shape(std::int64_t in_channels) const override;
  Triple spatial_out(const Triple& in) const override { return window_.out_size(where(), in); }
  Variable convolve(const Variable& x) override;
  void add_leaves(DType dtype) override;

 private:
  ConvWindow window_;
};

}  // namespace vg
