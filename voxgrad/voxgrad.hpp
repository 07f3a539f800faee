// The one header of voxgrad.
#pragma once

#include "data/data.hpp"
#include "framework/array.hpp"
#include "framework/checkpoint.hpp"
#include "framework/error.hpp"
#include "framework/grad.hpp"
#include "framework/gradcheck.hpp"
#include "framework/kernels/conv3d_algorithm.hpp"
#include "framework/kernels/kernel_set.hpp"
#include "framework/memory.hpp"
#include "framework/module.hpp"
#include "framework/ops/ops.hpp"
#include "framework/random.hpp"
#include "framework/threads.hpp"
#include "io/io.hpp"
#include "layers/layers.hpp"
#include "optim/optim.hpp"
