// MedNeXt: ConvNeXt blocks in a U-Net.
#pragma once

#include "voxgrad/layers/layers.hpp"

namespace vg::zoo {

struct MedNeXtOptions {
  Size in_size{};  ///< required: (H, W, D, C), spatial extents vg::dynamic or divisible by 2^(stages - 1)
  std::int64_t out_channels = 0;                    ///< required: classes
  std::int64_t init_filters = 32;                   ///< channels of the first stage; they double with each
  std::int64_t kernel_size = 3;                     ///< of the depthwise convolutions; odd
  std::int64_t expansion = 2;                       ///< of the channels within a block
  std::vector<std::int64_t> blocks{2, 2, 2, 2, 2};  ///< a stage, the bottleneck last; as many on the way up
  Initializer w_init = init::KaimingNormal();
};

/// Blocks of depthwise conv - GroupNorm of each channel - 1 x 1 x 1 - GELU - 1 x 1 x 1, plus the input; the same with
/// stride 2 down and transposed up, each with a 1 x 1 x 1 convolution of stride 2 beside it; the encoder's outputs are
/// added: (B, H, W, D, C) -> (B, H, W, D, out_channels). With the default options MedNeXt-S of Roy et al. 2023 without
/// deep supervision: 5,550,914 parameters with one channel and two classes, as MONAI 1.6's MedNeXtSmall counts them
/// (the paper says 5.6 M).
Sequential MedNeXtS(const MedNeXtOptions& options);

}  // namespace vg::zoo
