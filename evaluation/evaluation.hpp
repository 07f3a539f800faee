// Everything in evaluation/: what one does with a model that is trained.
#pragma once

#include "voxgrad/evaluation/distance.hpp"
#include "voxgrad/evaluation/metrics.hpp"
#include "voxgrad/evaluation/sliding_window.hpp"
