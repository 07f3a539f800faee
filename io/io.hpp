// Everything in io/.
#pragma once

#include "io/nifti.hpp"
#include "io/npz.hpp"
#include "io/safetensors.hpp"
