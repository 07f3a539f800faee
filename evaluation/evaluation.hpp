// Everything in evaluation/: what one does with a model that is trained.
#pragma once

#include "evaluation/distance.hpp"
#include "evaluation/metrics.hpp"
#include "evaluation/sliding_window.hpp"
