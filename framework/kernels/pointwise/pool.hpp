// Max pooling of a row of outputs by the kernel set in force. No threads: callers run rows in parallel.
#pragma once

#include "voxgrad/framework/kernels/common/kernel_table.hpp"

namespace vg::kernels {

/// y (outputs, channels) = the maximum of each window of a sample x; places (null: not wanted) = the voxel of the first
/// one. A NaN is a maximum. No window is empty.
template <class T>
void max_pool_row(const PoolRow& row, const T* x, T* y, std::int32_t* places) {
  current_table<T>().max_pool_row(row, x, y, places);
}

/// dx = dy at the places, and zero elsewhere in the windows, which share no voxel.
template <class T>
void max_unpool_row(const PoolRow& row, const T* dy, const std::int32_t* places, T* dx) {
  current_table<T>().max_unpool_row(row, dy, places, dx);
}

}  // namespace vg::kernels
