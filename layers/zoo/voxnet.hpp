// VoxNet: objects from voxels.
#pragma once

#include "voxgrad/layers/layers.hpp"

namespace vg::zoo {

struct VoxNetOptions {
  Size in_size{32, 32, 32, 1};  ///< at least 15 voxels an axis
  std::int64_t classes = 40;    ///< ModelNet40's
  Initializer w_init = init::KaimingNormal();
};

/// conv 5 of stride 2 - conv 3 (32 channels each, LeakyReLU(0.1)) - max pooling of 2 - linear 128 - linear, with the
/// authors' dropout (0.2, 0.3, 0.4 are dropped): (B, H, W, D, C) -> (B, classes). Maturana and Scherer 2015, "VoxNet";
/// 921,736 parameters with the default options, as the paper says.
Sequential VoxNet(const VoxNetOptions& options = {});

}  // namespace vg::zoo
