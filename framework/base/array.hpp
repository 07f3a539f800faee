// xtensor on Tensors: `t.array<float>()` is a view of the memory; `Tensor::from(expression)` evaluates any expression.
// Users and the slow paths write array code with xtensor. This header is separate from tensor.hpp because it adds about
// a second to the compile time of every file that includes it.
#pragma once

#include <algorithm>
#include <type_traits>
#include <utility>
#include <xtensor/xarray.hpp>
#include <xtensor/xcontainer.hpp>
#include <xtensor/xio.hpp>
#include <xtensor/xsemantic.hpp>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/tensor.hpp"

namespace vg {

namespace detail {

/// A tensor's memory as the storage container of an xtensor class. Copies share the memory.
template <class T>
class SharedBuffer {
 public:
  using value_type = std::remove_const_t<T>;
  using allocator_type = std::allocator<value_type>;
  using size_type = std::size_t;
  using difference_type = std::ptrdiff_t;
  using reference = T&;
  using const_reference = const T&;
  using pointer = T*;
  using const_pointer = const T*;
  using iterator = T*;
  using const_iterator = const T*;
  using reverse_iterator = std::reverse_iterator<iterator>;
  using const_reverse_iterator = std::reverse_iterator<const_iterator>;

  SharedBuffer(std::shared_ptr<Storage> storage, T* data, size_type size)
      : storage_(std::move(storage)), data_(data), size_(size) {}

  size_type size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  void resize(size_type) {}  // the view has checked the shape

  T& operator[](size_type i) { return data()[i]; }
  const T& operator[](size_type i) const { return data_[i]; }
  T* data() {
    if constexpr (!std::is_const_v<T>) storage_->prepare_write();
    return data_;
  }
  const T* data() const { return data_; }
  iterator begin() { return data(); }
  iterator end() { return data() + size_; }
  const_iterator begin() const { return data_; }
  const_iterator end() const { return data_ + size_; }
  const_iterator cbegin() const { return data_; }
  const_iterator cend() const { return data_ + size_; }
  reverse_iterator rbegin() { return reverse_iterator(end()); }
  reverse_iterator rend() { return reverse_iterator(begin()); }
  const_reverse_iterator rbegin() const { return const_reverse_iterator(end()); }
  const_reverse_iterator rend() const { return const_reverse_iterator(begin()); }
  const_reverse_iterator crbegin() const { return rbegin(); }
  const_reverse_iterator crend() const { return rend(); }

 private:
  std::shared_ptr<Storage> storage_;
  T* data_;
  size_type size_;
};

}  // namespace detail

}  // namespace vg

namespace xt {

template <class T>
struct xcontainer_inner_types<vg::ArrayView<T>> {
  using storage_type = vg::detail::SharedBuffer<T>;
  using reference = typename storage_type::reference;
  using const_reference = typename storage_type::const_reference;
  using size_type = typename storage_type::size_type;
  using shape_type = dynamic_shape<std::size_t>;
  using strides_type = get_strides_t<shape_type>;
  using backstrides_type = strides_type;
  using inner_shape_type = shape_type;
  using inner_strides_type = strides_type;
  using inner_backstrides_type = backstrides_type;
  using temporary_type = xarray<std::remove_const_t<T>, layout_type::row_major>;
  static constexpr layout_type layout = layout_type::row_major;
};

template <class T>
struct xiterable_inner_types<vg::ArrayView<T>> : xcontainer_iterable_types<vg::ArrayView<T>> {};

}  // namespace xt

namespace vg {

/// An xtensor container of fixed shape over a Tensor's memory, which it keeps alive. Copies view the same memory.
/// Assignment writes to the memory: a number fills it; an expression must have the view's shape (else ValueError).
template <class T>
class ArrayView : public xt::xstrided_container<ArrayView<T>>, public xt::xcontainer_semantic<ArrayView<T>> {
 public:
  using self_type = ArrayView<T>;
  using base_type = xt::xstrided_container<self_type>;
  using semantic_base = xt::xcontainer_semantic<self_type>;
  using storage_type = typename base_type::storage_type;
  using allocator_type = typename base_type::allocator_type;
  using shape_type = typename base_type::shape_type;
  using temporary_type = typename semantic_base::temporary_type;
  using expression_tag = xt::xtensor_expression_tag;
  static constexpr std::size_t rank = SIZE_MAX;

  ArrayView(storage_type storage, const shape_type& shape) : storage_(std::move(storage)) { base_type::resize(shape); }
  ArrayView(const ArrayView&) = default;
  ArrayView(ArrayView&&) = default;
  ~ArrayView() = default;

  ArrayView& operator=(const ArrayView& other) { return assign_elements(other.shape(), std::as_const(other.storage_)); }
  ArrayView& operator=(ArrayView&& other) { return *this = std::as_const(other); }
  ArrayView& operator=(temporary_type&& other) { return assign_elements(other.shape(), other.storage()); }
  template <class E>
  ArrayView& operator=(const xt::xexpression<E>& e) {
    return semantic_base::operator=(e);
  }
  ArrayView& operator=(const std::remove_const_t<T>& value) {
    std::fill(storage_.begin(), storage_.end(), value);
    return *this;
  }

  /// Only checks the shape, because a view always has its tensor's shape. Throws ValueError when they differ.
  template <class S>
  void resize(const S& wanted, bool = false) {
    check(wanted);
  }
  template <class S>
  void resize(const S& wanted, xt::layout_type) {
    check(wanted);
  }

 private:
  friend class xt::xcontainer<ArrayView<T>>;
  storage_type& storage_impl() noexcept { return storage_; }
  const storage_type& storage_impl() const noexcept { return storage_; }

  template <class S>
  void check(const S& wanted) const {
    const auto& own = this->shape();
    if (!std::equal(own.begin(), own.end(), wanted.begin(), wanted.end()))
      throw ValueError(
          fmt::format("[Tensor] array: got an expression of shape ({}); must be ({}), the tensor's shape, or a number",
                      fmt::join(wanted, ", "), fmt::join(own, ", ")));
  }
  template <class S, class Elements>
  ArrayView& assign_elements(const S& shape, const Elements& from) {
    check(shape);
    std::copy(from.begin(), from.end(), storage_.begin());
    return *this;
  }

  storage_type storage_;
};

template <class T>
ArrayView<T> Tensor::array() {
  T* const first = data<T>();
  return {detail::SharedBuffer<T>(storage_, first, static_cast<std::size_t>(numel_)), {shape_.begin(), shape_.end()}};
}

template <class T>
ArrayView<const T> Tensor::array() const {
  const T* const first = data<T>();
  return {detail::SharedBuffer<const T>(storage_, first, static_cast<std::size_t>(numel_)),
          {shape_.begin(), shape_.end()}};
}

template <class Expression>
Tensor Tensor::from(const Expression& expression) {
  using T = std::remove_cv_t<typename Expression::value_type>;
  std::vector<std::int64_t> extents;
  for (auto e : expression.shape()) extents.push_back(static_cast<std::int64_t>(e));
  Tensor t(Shape(extents), dtype_of<T>());
  T* to = t.data<T>();
  // Row-major iteration replaces view assignment, because assignment through an adaptor is several times slower.
  std::copy(expression.template begin<xt::layout_type::row_major>(),
            expression.template end<xt::layout_type::row_major>(), to);
  t.storage_->pointers_dropped();
  return t;
}

}  // namespace vg
