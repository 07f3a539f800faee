// xtensor for Tensors: t.array<float>() is a view of the memory, and Tensor::from(expression) evaluates an expression.
#pragma once

#include "voxgrad/framework/base/array.hpp"
