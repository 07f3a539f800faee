// UNet3d: nnU-Net's plain convolutional U-Net.
#pragma once

#include "voxgrad/layers/layers.hpp"

namespace vg::zoo {

struct UNet3dOptions {
  Size in_size{};  ///< required: (H, W, D, C), spatial extents vg::dynamic or divisible by 2^(stages - 1)
  std::int64_t out_channels = 0;                                   ///< required: classes
  std::vector<std::int64_t> features{32, 64, 128, 256, 320, 320};  ///< per stage
  Initializer w_init = init::KaimingNormal();
};

/// Each stage has conv 3 - InstanceNorm (affine) - LeakyReLU(0.01) twice; the first convolution of all stages after the
/// first has stride 2. The decoder upsamples by 2 x 2 x 2 transposed convolutions, appends the encoder's output of the
/// stage to the channels, and has two more convolutions per stage. The head is 1 x 1 x 1 without activation: (B, H, W,
/// D, C) -> (B, H, W, D, out_channels). All convolutions have a bias. Source: PlainConvUNet of MIC-DKFZ's
/// dynamic-network-architectures (nnU-Net, Isensee et al. 2021), whose weights fit one by one. It has 31,194,050
/// parameters with the default features, one channel and two classes.
Sequential UNet3d(const UNet3dOptions& options);

}  // namespace vg::zoo
