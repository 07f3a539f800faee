// VOXGRAD_TUNE=1: measures instead of estimating. Internal.
#pragma once

#include <functional>

#include "voxgrad/framework/kernels/common/problem.hpp"

namespace vg::kernels {

/// Whether VOXGRAD_TUNE is set to something other than 0 (read at the first use).
bool is_tuning();

/// The faster of two ways to do a pass, remembered for the problem, the pass, the kernel set, the size of an element
/// and the number of threads: the first call runs each twice and times the second. Both must leave the same output.
bool faster_is_second(const Conv3dProblem& p, Pass pass, std::size_t element, const std::function<void()>& first,
                      const std::function<void()>& second);

}  // namespace vg::kernels
