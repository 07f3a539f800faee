// WeightNormConv3d: a convolution whose kernel is parametrised by direction and magnitude.
#pragma once

#include "voxgrad/layers/conv/conv3d.hpp"

namespace vg {

using WeightNormConv3dOptions = Conv3dOptions;

/// A Conv3d whose kernel is magnitude * direction / |direction| in every call, with one norm per output channel:
/// torch.nn.utils.parametrizations.weight_norm(Conv3d, dim=0), after Salimans and Kingma 2016. Leaves: "direction" (kh,
/// kw, kd, in_channels / groups, out_channels), which w_init initializes; "magnitude" (1, 1, 1, 1, out_channels), which
/// starts as the norms, so that the initial kernel is the direction; and "bias". The mask is applied after the
/// normalisation. Everything else is as in Conv3d.
class WeightNormConv3d : public ConvLayerWith<WeightNormConv3dOptions> {
 public:
  explicit WeightNormConv3d(WeightNormConv3dOptions options);
  std::string kind() const override { return "WeightNormConv3d"; }

 protected:
  std::string_view kernel_leaf() const override { return "direction"; }
  Variable kernel() const override;
  void add_leaves(DType dtype) override;
};

}  // namespace vg
