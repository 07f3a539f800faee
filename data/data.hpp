// Includes all of data/.
#pragma once

#include "voxgrad/data/augment.hpp"
#include "voxgrad/data/dataset.hpp"
#include "voxgrad/data/loader.hpp"
#include "voxgrad/data/nifti.hpp"
#include "voxgrad/data/preprocess.hpp"
#include "voxgrad/data/shapes.hpp"
#include "voxgrad/data/volume.hpp"
