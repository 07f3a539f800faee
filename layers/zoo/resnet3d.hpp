// ResNet3d: residual networks for volumes or video.
#pragma once

#include "voxgrad/layers/layers.hpp"

namespace vg::zoo {

struct ResNet3dOptions {
  Size in_size{};                                       ///< required: (H, W, D, C); for video (T, H, W, C)
  std::int64_t classes = 0;                             ///< required
  std::vector<std::int64_t> blocks{2, 2, 2, 2};         ///< per stage
  std::vector<std::int64_t> widths{64, 128, 256, 512};  ///< channels of each stage
  TripleArg stem_kernel{3, 7, 7};                       ///< odd extents
  TripleArg stem_stride{1, 2, 2};
  Initializer w_init = init::KaimingNormal(2, "fan_out");
};

/// A stem of conv - BatchNorm - ReLU, stages of ResidualBlock3d (each except the first begins with stride 2), the mean
/// over space, and a linear layer: (B, H, W, D, C) -> (B, classes).
Sequential ResNet3d(const ResNet3dOptions& options);

/// torchvision's r3d_18 (Tran et al. 2018), with the default of two blocks per stage. It has 33,371,472 parameters for
/// 3 channels and 400 classes, as torchvision states.
Sequential ResNet3d18(const ResNet3dOptions& options);
/// The same with one block per stage: 14,566,992 parameters.
Sequential ResNet3d10(ResNet3dOptions options);

}  // namespace vg::zoo
