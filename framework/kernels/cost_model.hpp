// Chooses the algorithm of a pass. Internal.
#pragma once

#include <algorithm>

#include "voxgrad/framework/kernels/algorithm.hpp"
#include "voxgrad/framework/kernels/common/problem.hpp"

namespace vg::kernels {

/// Estimated times of a pass per algorithm, in multiply-adds of vectors of `lanes` lanes.
struct Cost {
  double direct, winograd, winograd4, winograd4x4x4;  ///< infinite if one does not apply
  /// The cheapest Winograd algorithm; below, its cost.
  Algorithm best_winograd() const {
    if (winograd4x4x4 < std::min(winograd, winograd4)) return Algorithm::winograd4x4x4;
    return winograd4 < winograd ? Algorithm::winograd4 : Algorithm::winograd;
  }
  double least_winograd() const { return std::min({winograd, winograd4, winograd4x4x4}); }
};
/// `element`: bytes per element. winograd4x4x4 is for f32 only.
Cost cost_of(const Conv3dProblem& p, std::int64_t lanes, Pass pass = Pass::forward,
             std::int64_t element = sizeof(float));

/// The algorithm for a pass; p is the problem of the data pass or of grad_weight. A forced one (algorithm.hpp) is taken
/// where it applies, else `direct`; without one, the cheapest by estimate is taken. Never `automatic`.
/// In f64, `winograd` runs in place of a forced `winograd4x4x4`.
Algorithm algorithm_of(const Conv3dProblem& p, std::int64_t lanes, Pass pass = Pass::forward,
                       std::int64_t element = sizeof(float));

/// Whether algorithm_of returns a Winograd algorithm.
bool use_winograd(const Conv3dProblem& p, std::int64_t lanes, Pass pass = Pass::forward);

/// Whether there is a choice: no algorithm is forced and Winograd applies.
bool may_choose(const Conv3dProblem& p, Pass pass = Pass::forward);

}  // namespace vg::kernels
