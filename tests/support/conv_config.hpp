// Options of the convolution layers from the "config" of a golden case.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "voxgrad/layers/conv/conv3d.hpp"
#include "voxgrad/layers/conv/conv_transpose3d.hpp"

namespace vg::test::golden {

vg::TripleArg extent(const nlohmann::json& value);
vg::Padding padding(const nlohmann::json& value);
/// The options by their names. Throws vg::IoError for an unknown name.
vg::Conv3dOptions conv3d_options(const nlohmann::json& config);
vg::ConvTranspose3dOptions conv_transpose3d_options(const nlohmann::json& config);
vg::ScaledWSConv3dOptions scaled_ws_options(const nlohmann::json& config);

}  // namespace vg::test::golden
