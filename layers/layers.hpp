// All layers.
#pragma once

#include "layers/activation.hpp"
#include "layers/conv3d.hpp"
#include "layers/conv_transpose3d.hpp"
#include "layers/dropout.hpp"
#include "layers/init.hpp"
#include "layers/linear.hpp"
#include "layers/norm.hpp"
#include "layers/pool.hpp"
#include "layers/registry.hpp"
#include "layers/reshape.hpp"
#include "layers/sequential.hpp"
