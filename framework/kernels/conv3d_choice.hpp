// Which algorithm a pass takes. Internal.
#pragma once

#include "framework/kernels/conv3d_problem.hpp"

namespace vg::kernels {

/// Estimated time of a pass in vector multiply-adds, of `lanes` lanes: what the choice compares.
struct Cost {
  double direct, winograd;  ///< winograd: infinite where it does not apply
};
Cost cost_of(const Conv3dProblem& p, std::int64_t lanes, Pass pass = Pass::forward);

/// Whether Winograd's algorithm is the one for a pass, of which p is the gather or the grad_weight: what is forced
/// (conv3d_algorithm.hpp), else the cheaper by estimate.
bool use_winograd(const Conv3dProblem& p, std::int64_t lanes, Pass pass = Pass::forward);

/// Whether there is a choice: nothing is forced and Winograd's algorithm applies.
bool may_choose(const Conv3dProblem& p, Pass pass = Pass::forward);

}  // namespace vg::kernels
