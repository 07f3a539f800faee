// Includes all of evaluation/, which is for trained models.
#pragma once

#include "voxgrad/evaluation/distance.hpp"
#include "voxgrad/evaluation/metrics.hpp"
#include "voxgrad/evaluation/sliding_window.hpp"
