// Max pooling of a row of outputs by the kernel set in force. It uses no threads: callers run rows in parallel.
#pragma once

#include "voxgrad/framework/kernels/common/kernel_table.hpp"

namespace vg::kernels {

/// y (outputs, channels) = the maximum of each window of a sample x. places, unless null, = the voxel of the first
/// maximum. A NaN counts as the maximum; of several, the last one. No window may be empty.
template <class T>
void max_pool_row(const PoolRow& row, const T* x, T* y, std::int32_t* places) {
  current_table<T>().max_pool_row(row, x, y, places);
}

/// dx = dy at the places and zero elsewhere in the windows. The windows must not share voxels.
template <class T>
void max_unpool_row(const PoolRow& row, const T* dy, const std::int32_t* places, T* dx) {
  current_table<T>().max_unpool_row(row, dy, places, dx);
}

}  // namespace vg::kernels
