// Includes all ops.
#pragma once

#include "voxgrad/framework/ops/bias.hpp"
#include "voxgrad/framework/ops/conv3d.hpp"
#include "voxgrad/framework/ops/dropout.hpp"
#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/framework/ops/linalg.hpp"
#include "voxgrad/framework/ops/loss.hpp"
#include "voxgrad/framework/ops/norm.hpp"
#include "voxgrad/framework/ops/pool3d.hpp"
#include "voxgrad/framework/ops/reduce.hpp"
#include "voxgrad/framework/ops/shape_ops.hpp"
