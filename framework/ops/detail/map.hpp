// Loops over whole tensors of one shape. Ops and the fused parts of their vjps use them.
#pragma once

#include <cmath>
#include <cstdint>
#include <string_view>

#include <fmt/format.h>

#include "voxgrad/framework/autograd/variable.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/tensor.hpp"
#include "voxgrad/framework/base/threads.hpp"

namespace vg::detail {

/// Elements per task. Below this size an op runs in the calling thread, without the cost of starting threads.
inline constexpr std::int64_t grain = 32768;

/// y[i] = f(x[i])
template <class R, class T, class F>
void map_loop(const T* x, R* y, std::int64_t n, F f) {
  parallel_ranges(n, grain, [=](std::int64_t begin, std::int64_t end) {
    const T* __restrict in = x;
    R* __restrict out = y;
    for (std::int64_t i = begin; i < end; ++i) out[i] = f(in[i]);
  });
}

/// y[i] = f(a[i], b[i])
template <class R, class T, class F>
void map2_loop(const T* a, const T* b, R* y, std::int64_t n, F f) {
  parallel_ranges(n, grain, [=](std::int64_t begin, std::int64_t end) {
    const T* __restrict in_a = a;
    const T* __restrict in_b = b;
    R* __restrict out = y;
    for (std::int64_t i = begin; i < end; ++i) out[i] = f(in_a[i], in_b[i]);
  });
}

/// A tensor of a float dtype, whose elements f(data) computes; op names errors.
template <class F>
Tensor filled(std::string_view op, const Shape& shape, DType dtype, const F& f) {
  const OpGuard scope(op);
  Tensor y(shape, dtype);
  dispatch_float(op, dtype, [&](auto type) { f(y.data<decltype(type)>()); });
  return y;
}

/// f of every element of a float tensor. Throws TypeError, beginning with [op], for i32.
template <class F>
Tensor map(std::string_view op, const Tensor& x, F f) {
  return dispatch_float(op, x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    Tensor y(x.shape(), x.dtype());
    map_loop(x.data<T>(), y.data<T>(), x.numel(), f);
    return y;
  });
}

/// f of every element, of any dtype.
template <class F>
Tensor map_any(const Tensor& x, F f) {
  return dispatch(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    Tensor y(x.shape(), x.dtype());
    map_loop(x.data<T>(), y.data<T>(), x.numel(), f);
    return y;
  });
}

/// f of every pair of elements of two float tensors of one shape and dtype.
template <class F>
Tensor map2(std::string_view op, const Tensor& a, const Tensor& b, F f) {
  return dispatch_float(op, a.dtype(), [&](auto tag) {
    using T = decltype(tag);
    Tensor y(a.shape(), a.dtype());
    map2_loop(a.data<T>(), b.data<T>(), y.data<T>(), a.numel(), f);
    return y;
  });
}

/// Throws TypeError unless both have the same dtype.
inline void check_same_dtype(std::string_view op, const Variable& a, const Variable& b) {
  if (a.dtype() != b.dtype())
    throw TypeError(fmt::format("[{}] dtype: got {} and {}; both sides must have the same dtype", op,
                                name_of(a.dtype()), name_of(b.dtype())));
}

/// Throws TypeError unless x is f32 or f64.
inline void check_float(std::string_view op, const Variable& x) {
  if (!is_float(x.dtype())) throw_not_float(op, x.dtype());
}

}  // namespace vg::detail
