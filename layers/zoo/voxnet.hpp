// VoxNet: classification of voxelised objects.
#pragma once

#include "voxgrad/layers/layers.hpp"

namespace vg::zoo {

struct VoxNetOptions {
  Size in_size{32, 32, 32, 1};  ///< at least 15 voxels per axis
  std::int64_t classes = 40;    ///< of ModelNet40
  Initializer w_init = init::KaimingNormal();
};

/// conv 5 of stride 2 - conv 3 (32 channels each, LeakyReLU(0.1)) - max pooling of 2 - linear 128 - linear, with the
/// authors' dropout rates of 0.2, 0.3 and 0.4: (B, H, W, D, C) -> (B, classes). Source: Maturana and Scherer 2015,
/// "VoxNet", with 921,736 parameters for the default options, as the paper says.
Sequential VoxNet(const VoxNetOptions& options = {});

}  // namespace vg::zoo
