// The readers of tensor files over any Source: what fuzzing and the public functions share. Internal to io/.
#pragma once

#include "io/npz.hpp"
#include "io/safetensors.hpp"
#include "io/source.hpp"

namespace vg::detail {

SafetensorsFile read_safetensors(const Source& source);
NamedTensors read_npz(const Source& source);

}  // namespace vg::detail
