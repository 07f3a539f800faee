// All of optim.
#pragma once

#include "optim/accumulator.hpp"
#include "optim/adagrad.hpp"
#include "optim/adam.hpp"
#include "optim/adamax.hpp"
#include "optim/clip.hpp"
#include "optim/ema.hpp"
#include "optim/lamb.hpp"
#include "optim/lion.hpp"
#include "optim/nadam.hpp"
#include "optim/optimizer.hpp"
#include "optim/plateau.hpp"
#include "optim/radam.hpp"
#include "optim/rmsprop.hpp"
#include "optim/schedule.hpp"
#include "optim/sgd.hpp"
