// Packs weights in the layouts of the igemm kernels. Internal.
#pragma once

#include <cstdint>

#include "voxgrad/framework/kernels/common/problem.hpp"

namespace vg::kernels {

/// Addresses of weights: in a group, (tap, ci, co) of the data pass is at origin + tap * tap_stride + ci * ci_stride +
/// co * co_stride.
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

/// The weights w of the data pass over p. With `transpose`, p is a transposed problem, and its taps are w's reversed.
template <class T>
Weights<T> weights_of(const Conv3dProblem& p, const T* w, bool transpose);

/// Elements of the packed weights of one group.
std::int64_t packed_size(const Conv3dProblem& p, bool few, std::int64_t lanes);

/// Packs w for igemm, or for igemm_narrow if `few`; kernel_table.hpp describes the layouts.
template <class T>
void pack(const Conv3dProblem& p, const Weights<T>& w, bool few, std::int64_t lanes, T* packed);

/// Packs w as [row][output channel of all groups], for igemm_grouped.
template <class T>
void pack_rows(const Conv3dProblem& p, const Weights<T>& w, T* packed);

}  // namespace vg::kernels
