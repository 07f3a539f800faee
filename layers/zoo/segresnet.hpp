// SegResNet: a residual encoder with a light decoder.
#pragma once

#include "voxgrad/layers/layers.hpp"

namespace vg::zoo {

struct SegResNetOptions {
  Size in_size{};  ///< required: (H, W, D, C), spatial extents vg::dynamic or divisible by 2^(stages - 1)
  std::int64_t out_channels = 0;                      ///< required: classes
  std::int64_t init_filters = 8;                      ///< channels of the first stage; each further stage doubles them
  std::vector<std::int64_t> blocks_down{1, 2, 2, 4};  ///< residual blocks per stage
  std::vector<std::int64_t> blocks_up{1, 1, 1};       ///< from the deepest stage up; one entry fewer
  std::int64_t num_groups = 8;
  Initializer w_init = init::KaimingNormal();
};

/// Each block is norm - ReLU - conv 3, twice, plus the input (GroupNorm, no bias). The encoder downsamples by
/// convolutions of stride 2; the decoder upsamples by 1 x 1 x 1 and trilinear interpolation and adds the encoder's
/// output. The head is norm - ReLU - 1 x 1 x 1 with bias: (B, H, W, D, C) -> (B, H, W, D, out_channels). This is
/// MONAI's SegResNet (Myronenko 2018): 1,176,186 parameters with the default options, one channel and two classes, as
/// in MONAI 1.6.
Sequential SegResNet(const SegResNetOptions& options);

}  // namespace vg::zoo
