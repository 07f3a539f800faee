// With VOXGRAD_TUNE=1, the choice of an algorithm is measured, not estimated. Internal.
#pragma once

#include <functional>

#include "voxgrad/framework/kernels/common/problem.hpp"

namespace vg::kernels {

/// Whether VOXGRAD_TUNE is set to something other than 0 (read at the first use).
bool is_tuning();

/// Whether `second` computes a pass faster than `first`; both must write the same output. The first call runs each
/// twice and times the second run. The result is remembered for the problem, the pass, the kernel set, the element
/// size and the number of threads.
bool faster_is_second(const Conv3dProblem& p, Pass pass, std::size_t element, const std::function<void()>& first,
                      const std::function<void()>& second);

}  // namespace vg::kernels
