// Dropout.
#pragma once

#include "voxgrad/framework/autograd/variable.hpp"
#include "voxgrad/framework/base/random.hpp"

namespace vg {

/// Keeps each element with probability `keep_prob`, scaled by 1 / keep_prob, else 0. The mask is counter-based: element i depends
/// on the key and i only. Throws ValueError unless 0 < keep_prob <= 1.
Variable dropout(const Variable& x, double keep_prob, const random::Key& key);
/// The same of whole channels of volumes: x (B, H, W, D, C), one number drawn for each sample and channel, as a mask of
/// shape (B, 1, 1, 1, C). torch.nn.Dropout3d, with brainstate's masks.
Variable spatial_dropout3d(const Variable& x, double keep_prob, const random::Key& key);

}  // namespace vg
