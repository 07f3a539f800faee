// The readers and writers of other programs' tensor files.
#pragma once

#include "voxgrad/framework/formats/npz.hpp"
#include "voxgrad/framework/formats/safetensors.hpp"
