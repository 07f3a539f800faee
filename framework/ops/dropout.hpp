// Dropout.
#pragma once

#include "voxgrad/framework/autograd/variable.hpp"
#include "voxgrad/framework/base/random.hpp"

namespace vg {

/// Keeps each element with probability `keep_prob`, scaled by 1 / keep_prob, and sets the others to 0. The mask is
/// counter-based: that of element i depends only on the key and i. Throws ValueError unless 0 < keep_prob <= 1,
/// TypeError for i32.
Variable dropout(const Variable& x, double keep_prob, const random::Key& key);
/// The same for whole channels of volumes: x (B, H, W, D, C). One number is drawn per sample and channel, as a mask of
/// shape (B, 1, 1, 1, C). torch.nn.Dropout3d, with brainstate's masks.
Variable spatial_dropout3d(const Variable& x, double keep_prob, const random::Key& key);

}  // namespace vg
