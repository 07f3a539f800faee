// Everything in data/.
#pragma once

#include "data/augment.hpp"
#include "data/dataset.hpp"
#include "data/loader.hpp"
#include "data/preprocess.hpp"
#include "data/shapes.hpp"
#include "data/volume.hpp"
