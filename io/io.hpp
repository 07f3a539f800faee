// Everything in io/.
#pragma once

#include "io/nifti.hpp"
