// Tensor file readers for any RandomAccessFile, shared by the public functions and the fuzz targets. Internal to
// framework/formats/.
#pragma once

#include "voxgrad/framework/formats/npz.hpp"
#include "voxgrad/framework/formats/random_access_file.hpp"
#include "voxgrad/framework/formats/safetensors.hpp"

namespace vg::detail {

SafetensorsFile read_safetensors(const RandomAccessFile& source);
NamedTensors read_npz(const RandomAccessFile& source);

}  // namespace vg::detail
