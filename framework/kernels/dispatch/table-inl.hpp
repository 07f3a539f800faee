// The tables of the instruction set whose simd/ header was included before. Included only by kernels.cpp.
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
  t.igemm = igemm<T>;
  t.igemm_narrow = igemm_narrow<T>;
  t.igemm_depthwise = igemm_depthwise<T>;
  t.igemm_grouped = igemm_grouped<T>;
  t.wgrad = wgrad<T>;
  t.weight_lanes = weight_lanes<T>;
  t.wgrad_narrow = wgrad_narrow<T>;
  t.wgrad_depthwise = wgrad_depthwise<T>;
  t.wgrad_grouped = wgrad_grouped<T>;
  t.accumulate = accumulate<T>;
  t.channel_sums = channel_sums<T>;
  t.channel_moments = channel_moments<T>;
  t.channel_dots = channel_dots<T>;
  t.map_channels = map_channels<T>;
  t.activation_grad_dots = activation_grad_dots<T>;
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
