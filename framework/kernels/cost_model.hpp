// Which algorithm a pass takes. Internal.
#pragma once

#include <algorithm>

#include "voxgrad/framework/kernels/algorithm.hpp"
#include "voxgrad/framework/kernels/common/problem.hpp"

namespace vg::kernels {

/// Estimated time of a pass in vector multiply-adds, of `lanes` lanes: what the choice compares.
struct Cost {
  double direct, winograd, winograd4, winograd4x4x4;  ///< infinite where one does not apply
  /// Winograd's cheapest one, and its cost.
  Algorithm best_winograd() const {
    if (winograd4x4x4 < std::min(winograd, winograd4)) return Algorithm::winograd4x4x4;
    return winograd4 < winograd ? Algorithm::winograd4 : Algorithm::winograd;
  }
  double least_winograd() const { return std::min({winograd, winograd4, winograd4x4x4}); }
};
Cost cost_of(const Conv3dProblem& p, std::int64_t lanes, Pass pass = Pass::forward);

/// The algorithm for a pass, of which p is the data pass or the grad_weight: what is forced (algorithm.hpp), else
/// the cheapest by estimate. Never `automatic`.
Algorithm algorithm_of(const Conv3dProblem& p, std::int64_t lanes, Pass pass = Pass::forward);

/// Whether it is one of Winograd's.
bool use_winograd(const Conv3dProblem& p, std::int64_t lanes, Pass pass = Pass::forward);

/// Whether there is a choice: nothing is forced and Winograd's algorithm applies.
bool may_choose(const Conv3dProblem& p, Pass pass = Pass::forward);

}  // namespace vg::kernels
