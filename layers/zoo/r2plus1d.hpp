// R2Plus1D18: a residual network whose convolutions are split into space and time.
#pragma once

#include "voxgrad/layers/layers.hpp"

namespace vg::zoo {

struct R2Plus1DOptions {
  Size in_size{};                                       ///< required: (T, H, W, C)
  std::int64_t classes = 0;                             ///< required
  std::vector<std::int64_t> blocks{2, 2, 2, 2};         ///< per stage
  std::vector<std::int64_t> widths{64, 128, 256, 512};  ///< channels of each stage
  Initializer w_init = init::KaimingNormal(2, "fan_out");
};

/// ResNet3d18 with each 3 x 3 x 3 convolution replaced by 1 x 3 x 3, BatchNorm, ReLU and 3 x 1 x 1. The number of
/// channels between the two keeps the number of weights (27 i o / (9 i + 3 o)); the stem has 45. This is torchvision's
/// r2plus1d_18 (Tran et al. 2018), with 31,505,325 parameters for 3 channels and 400 classes, as torchvision states.
Sequential R2Plus1D18(const R2Plus1DOptions& options);

}  // namespace vg::zoo
