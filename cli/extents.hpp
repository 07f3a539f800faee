// What extents a model takes, as far as its description says.
#pragma once

#include <array>
#include <cstdint>

#include "voxgrad/framework/nn/description.hpp"

namespace command {

/// The numbers that H, W and D of an input must be multiples of, so that what a net makes smaller by strides it makes
/// as large again (a U-Net's skip connections fit): the largest product of strides on the way through its layers.
/// Strides and scales of the options "stride" and "scale" are known; whatever else changes extents counts as 1.
vg::Triple multiples_of(const vg::ModuleConfig& description);

}  // namespace command
