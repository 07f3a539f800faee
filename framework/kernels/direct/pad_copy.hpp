// grad_weight on a copy of x with its padding as zeros. Edges cost the direct kernels lists of their own, with fewer
// rows of weights each: of few channels, or in small volumes, that is more than the products that the padding adds.
#pragma once

#include <cstdint>

#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/kernels/common/problem.hpp"

namespace vg::kernels::padded {

/// Whether the copy pays, with vectors of so many lanes.
bool applies(const Conv3dProblem& p, std::int64_t lanes, std::int64_t element);

/// The same convolution, of inputs that have their padding.
Conv3dProblem problem_of(const Conv3dProblem& p);

/// They themselves.
template <class T>
memory::Scratch<T> inputs(const Conv3dProblem& p, const T* x);

}  // namespace vg::kernels::padded
