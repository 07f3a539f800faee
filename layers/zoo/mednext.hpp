// MedNeXt: a U-Net of ConvNeXt blocks.
#pragma once

#include "voxgrad/layers/layers.hpp"

namespace vg::zoo {

struct MedNeXtOptions {
  Size in_size{};  ///< required: (H, W, D, C), spatial extents vg::dynamic or divisible by 2^(stages - 1)
  std::int64_t out_channels = 0;                    ///< required: classes
  std::int64_t init_filters = 32;                   ///< channels of the first stage; each further stage doubles them
  std::int64_t kernel_size = 3;                     ///< of the depthwise convolutions; must be odd
  std::int64_t expansion = 2;                       ///< of the channels within a block
  std::vector<std::int64_t> blocks{2, 2, 2, 2, 2};  ///< per stage, the bottleneck last; the decoder has as many
  Initializer w_init = init::KaimingNormal();
};

/// Each block is depthwise conv - GroupNorm of each channel - 1 x 1 x 1 - GELU - 1 x 1 x 1, plus the input. The blocks
/// between stages have stride 2, transposed on the way up, with a 1 x 1 x 1 convolution of stride 2 as the shortcut.
/// The encoder's outputs are added: (B, H, W, D, C) -> (B, H, W, D, out_channels). The default options give MedNeXt-S
/// of Roy et al. 2023 without deep supervision: 5,550,914 parameters with one channel and two classes, as MONAI 1.6's
/// MedNeXtSmall has (the paper says 5.6 M).
Sequential MedNeXtS(const MedNeXtOptions& options);

}  // namespace vg::zoo
