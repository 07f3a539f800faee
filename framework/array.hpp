// xtensor on Tensors: `t.array<float>()` is an adaptor over the memory, `Tensor::from(expression)` evaluates any
// expression. xtensor is the language in which users and the slow paths speak arrays; it is kept out of tensor.hpp
// because it costs every file that includes it about a second to compile.
#pragma once

#include <algorithm>
#include <xtensor/xadapt.hpp>
#include <xtensor/xarray.hpp>

#include "framework/tensor.hpp"

namespace vg {

template <class T>
auto Tensor::array() {
  const std::vector<std::size_t> shape(shape_.begin(), shape_.end());
  return xt::adapt(data<T>(), static_cast<std::size_t>(numel_), xt::no_ownership(), shape);
}

template <class T>
auto Tensor::array() const {
  const std::vector<std::size_t> shape(shape_.begin(), shape_.end());
  return xt::adapt(data<T>(), static_cast<std::size_t>(numel_), xt::no_ownership(), shape);
}

template <class Expression>
Tensor Tensor::from(const Expression& expression) {
  using T = std::remove_cv_t<typename Expression::value_type>;
  std::vector<std::int64_t> extents;
  for (auto e : expression.shape()) extents.push_back(static_cast<std::int64_t>(e));
  Tensor t(Shape(extents), dtype_of<T>());
  T* to = t.data<T>();
  // Row-major iteration, not view assignment: assignment through an adaptor is several times slower.
  std::copy(expression.template begin<xt::layout_type::row_major>(),
            expression.template end<xt::layout_type::row_major>(), to);
  return t;
}

}  // namespace vg
