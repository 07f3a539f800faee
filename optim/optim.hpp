// Includes all of optim.
#pragma once

#include "voxgrad/optim/accumulator.hpp"
#include "voxgrad/optim/clip.hpp"
#include "voxgrad/optim/ema.hpp"
#include "voxgrad/optim/optimizer.hpp"
#include "voxgrad/optim/plateau.hpp"
#include "voxgrad/optim/rules/adagrad.hpp"
#include "voxgrad/optim/rules/adam.hpp"
#include "voxgrad/optim/rules/adamax.hpp"
#include "voxgrad/optim/rules/lamb.hpp"
#include "voxgrad/optim/rules/lion.hpp"
#include "voxgrad/optim/rules/nadam.hpp"
#include "voxgrad/optim/rules/radam.hpp"
#include "voxgrad/optim/rules/rmsprop.hpp"
#include "voxgrad/optim/rules/sgd.hpp"
#include "voxgrad/optim/schedule.hpp"
