// Weights in the layouts that the igemm kernels want. Internal.
#pragma once

#include <cstdint>

#include "voxgrad/framework/kernels/common/problem.hpp"

namespace vg::kernels {

/// Where the weight of (tap, ci, co) of a group stands, in the data pass's terms.
template <class T>
struct Weights {
  const T* origin;
  std::int64_t tap_stride, ci_stride, co_stride, group_stride;

  Weights group(std::int64_t index) const {
    Weights w = *this;
    w.origin += index * group_stride;
    return w;
  }
};

/// w as the data pass over p sees it; p is transposed and w reversed when `transpose`.
template <class T>
Weights<T> weights_of(const Conv3dProblem& p, const T* w, bool transpose);

/// Elements of a group's packed weights.
std::int64_t packed_size(const Conv3dProblem& p, bool few, std::int64_t lanes);

/// The layouts that KernelTable's igemm and igemm_narrow want.
template <class T>
void pack(const Conv3dProblem& p, const Weights<T>& w, bool few, std::int64_t lanes, T* packed);

/// [row][output channel of all groups], as igemm_grouped wants.
template <class T>
void pack_rows(const Conv3dProblem& p, const Weights<T>& w, T* packed);

}  // namespace vg::kernels
