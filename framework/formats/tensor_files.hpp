// The readers of tensor files over any Source: what fuzzing and the public functions share. Internal to
// framework/formats/.
#pragma once

#include "voxgrad/framework/formats/npz.hpp"
#include "voxgrad/framework/formats/safetensors.hpp"
#include "voxgrad/framework/formats/source.hpp"

namespace vg::detail {

SafetensorsFile read_safetensors(const Source& source);
NamedTensors read_npz(const Source& source);

}  // namespace vg::detail
