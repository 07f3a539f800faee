// The input extents that a model accepts, as far as its description tells.
#pragma once

#include <array>
#include <cstdint>

#include "voxgrad/framework/nn/description.hpp"

namespace command {

/// H, W and D of an input must be multiples of these numbers, so that a net that reduces extents by strides restores
/// the same extents (a U-Net's skip connections fit): the largest product of strides along the way through its layers.
/// The options "stride" and "scale" are used; all other changes of extents are ignored.
vg::Triple multiples_of(const vg::ModuleConfig& description);

}  // namespace command
