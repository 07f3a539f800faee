// grad_weight on a copy of x that includes the padding as zeros. For edges, the direct kernels need additional lists
// with fewer rows of weights. With few channels or in small volumes, that costs more than the products of the padding.
#pragma once

#include <cstdint>

#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/kernels/common/problem.hpp"

namespace vg::kernels::padded {

/// Whether the copy pays, with vectors of `lanes` lanes and elements of `element` bytes.
bool applies(const Conv3dProblem& p, std::int64_t lanes, std::int64_t element);

/// The same convolution on inputs that include their padding.
Conv3dProblem problem_of(const Conv3dProblem& p);

/// A copy of x that includes the padding.
template <class T>
memory::Scratch<T> inputs(const Conv3dProblem& p, const T* x);

}  // namespace vg::kernels::padded
