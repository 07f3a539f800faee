// The algorithm for channels in small groups at stride 1: depthwise with any multiplier, groups of fewer channels than
// a vector has lanes, one to four input channels (stems; not their grad_weight). Internal; direct.cpp calls it where it
// applies.
#pragma once

#include <optional>

#include "voxgrad/framework/kernels/common/epilogue.hpp"
#include "voxgrad/framework/kernels/common/problem.hpp"

namespace vg::kernels::depthwise {

/// Whether it is the one to take for the data pass over p, or for p's grad_weight.
template <class T>
bool applies(const Conv3dProblem& p, bool weight);

struct Done {
  bool applied;  ///< the epilogue
};
/// As direct::data_pass. Padding is multiplied as zeros, so a weight that is not finite would reach outputs that do not
/// meet it: nothing is done if there is one.
template <class T>
std::optional<Done> data_pass(const Conv3dProblem& p, bool transpose, const T* x, const T* w, T* y,
                              const Epilogue<T>& epilogue);

/// False if a result is not finite: in dy that may have met padding only, and the caller should do it another way.
template <class T>
bool grad_weight(const Conv3dProblem& p, const T* x, const T* dy, T* dw);

}  // namespace vg::kernels::depthwise
