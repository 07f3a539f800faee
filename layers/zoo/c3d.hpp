// C3D: a network for features of video clips.
#pragma once

#include "voxgrad/layers/layers.hpp"

namespace vg::zoo {

struct C3DOptions {
  Size in_size{16, 112, 112, 3};  ///< (T, H, W, C)
  std::int64_t classes = 487;     ///< of Sports-1M
  std::int64_t width = 64;        ///< channels of the first convolution; the others have 2, 4, 8, 8 times as many
  std::int64_t features = 4096;   ///< of the two hidden linear layers
  Initializer w_init = init::KaimingNormal();
};

/// Eight 3 x 3 x 3 convolutions with ReLU, five max poolings (the first not in time, the last with a padding of one
/// voxel in space), two hidden linear layers with dropout, and a linear layer: (B, T, H, W, C) -> (B, classes). Source:
/// Tran et al. 2015, "Learning Spatiotemporal Features with 3D Convolutional Networks". It has 78,409,573 parameters
/// with the 101 classes of UCF101, and 79,991,015 with the 487 of Sports-1M.
Sequential C3D(const C3DOptions& options = {});

}  // namespace vg::zoo
