// Everything in io/.
#pragma once

#include "io/named_tensors.hpp"
#include "io/nifti.hpp"
#include "io/npz.hpp"
#include "io/safetensors.hpp"
