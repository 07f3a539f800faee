// All ops.
#pragma once

#include "framework/ops/bias.hpp"
#include "framework/ops/conv3d.hpp"
#include "framework/ops/dropout.hpp"
#include "framework/ops/elementwise.hpp"
#include "framework/ops/linalg.hpp"
#include "framework/ops/loss.hpp"
#include "framework/ops/norm.hpp"
#include "framework/ops/pool3d.hpp"
#include "framework/ops/reduce.hpp"
#include "framework/ops/shape_ops.hpp"
