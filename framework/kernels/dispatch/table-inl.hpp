// The tables of the instruction set whose header of simd/ was included before. Included only by kernels.cpp.
#pragma once

#include "voxgrad/framework/kernels/common/kernel_table.hpp"
#include "voxgrad/framework/kernels/direct/dense-inl.hpp"
#include "voxgrad/framework/kernels/direct/grouped-inl.hpp"
#include "voxgrad/framework/kernels/direct/wgrad-inl.hpp"
#include "voxgrad/framework/kernels/pointwise/pointwise-inl.hpp"
#include "voxgrad/framework/kernels/pointwise/pool-inl.hpp"

namespace vg::kernels {
namespace {

template <class T>
constexpr KernelTable<T> make_table() {
  KernelTable<T> t{};
  t.lanes = Simd<T>::lanes;
  t.gather_dense = gather_dense<T>;
  t.gather_few = gather_few<T>;
  t.gather_depthwise = gather_depthwise<T>;
  t.gather_grouped = gather_grouped<T>;
  t.weight_dense = weight_dense<T>;
  t.weight_lanes = weight_lanes<T>;
  t.weight_few = weight_few<T>;
  t.weight_depthwise = weight_depthwise<T>;
  t.weight_grouped = weight_grouped<T>;
  t.accumulate = accumulate<T>;
  t.channel_sums = channel_sums<T>;
  t.channel_moments = channel_moments<T>;
  t.channel_dots = channel_dots<T>;
  t.map_channels = map_channels<T>;
  t.activated_dots = activated_dots<T>;
  t.gelu = gelu<T>;
  t.gelu_grad = gelu_grad<T>;
  t.norm_grad = norm_grad<T>;
  t.max_pool_row = max_pool_row<T>;
  t.max_unpool_row = max_unpool_row<T>;
  return t;
}

constexpr KernelTables tables = {make_table<float>(), make_table<double>()};

}  // namespace
}  // namespace vg::kernels
