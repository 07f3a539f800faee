// Tensor: data without a graph. A shared, 64-byte-aligned, contiguous row-major buffer with a shape and a dtype.
#pragma once

#include <concepts>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "voxgrad/framework/base/dtype.hpp"
#include "voxgrad/framework/base/shape.hpp"
#include "voxgrad/framework/base/storage.hpp"

namespace vg {

template <class T>
class ArrayView;

/// Copying a Tensor shares its buffer; clone() copies the data. A default Tensor holds nothing (defined() is false).
class Tensor {
 public:
  Tensor() = default;
  /// Uninitialised. Throws ValueError when the bytes exceed 2^63 - 1, MemoryError when there is no memory.
  explicit Tensor(const Shape& shape, DType dtype = f32);

  static Tensor zeros(const Shape& shape, DType dtype = f32);
  static Tensor ones(const Shape& shape, DType dtype = f32);
  /// Every element equal to `value`, converted to the dtype.
  static Tensor full(const Shape& shape, double value, DType dtype = f32);
  static Tensor scalar(double value, DType dtype = f32) { return full({}, value, dtype); }
  /// The values 0 ... n - 1, converted to the dtype.
  static Tensor arange(std::int64_t n, DType dtype = f32);
  /// Copies `values` (row-major). Throws ValueError unless their number is shape.numel().
  template <class T>
  static Tensor of(const Shape& shape, const std::vector<T>& values) {
    Tensor t(shape, dtype_of<T>());
    t.copy_in(values.data(), static_cast<std::int64_t>(values.size()));
    return t;
  }
  template <class T>
  static Tensor of(const Shape& shape, std::initializer_list<T> values) {
    return of(shape, std::vector<T>(values));
  }
  /// Evaluates an xtensor expression into a new Tensor of its value type. Defined in framework/base/array.hpp.
  template <class Expression>
  static Tensor from(const Expression& expression);

  bool defined() const { return storage_ != nullptr; }
  const Shape& shape() const { return shape_; }
  std::int64_t dim(int axis) const { return shape_.at(axis); }
  int rank() const { return shape_.rank(); }
  DType dtype() const { return dtype_; }
  std::int64_t numel() const { return numel_; }
  std::int64_t bytes() const { return numel_ * size_of(dtype_); }

  /// A pointer to the first element. Throws TypeError when T is not the dtype, ValueError for an undefined Tensor. A
  /// const Tensor gives const memory, but copies share it (see make_unique()). Memory that a graph has saved must not
  /// be written to before the reverse pass, which throws ValueError if the content has changed since. To read a Tensor
  /// that is not const, use std::as_const(t).data<T>().
  template <class T>
  T* data() {
    return static_cast<T*>(checked(dtype_of<T>()).writable());
  }
  template <class T>
  const T* data() const {
    return static_cast<const T*>(checked(dtype_of<T>()).data());
  }
  const void* raw() const;
  void* raw();

  /// The value of a one-element Tensor of any dtype. Throws ValueError for another number of elements.
  double item() const;
  /// Element i in row-major order, converted to double (exact for every dtype). Throws ValueError outside [0, numel()).
  double value_at(std::int64_t i) const;
  std::vector<double> values() const;

  Tensor clone() const;
  /// The same buffer in another shape; one extent may be -1 (inferred). Throws ValueError when the sizes differ.
  Tensor reshape(const ShapeArg& shape) const;
  /// A converted copy, or the Tensor itself when it has that dtype. Float to i32 truncates.
  Tensor to(DType dtype) const;
  /// Whether no other Tensor shares the buffer, so that no other Tensor sees a write to it.
  bool unique() const;
  /// Copies the buffer if it is shared.
  void make_unique();
  /// An xtensor view of this memory (no copy), which keeps the memory alive. Defined in framework/base/array.hpp.
  /// Throws the exceptions of data().
  template <class T>
  ArrayView<T> array();
  template <class T>
  ArrayView<const T> array() const;

  /// The memory itself; null for an undefined Tensor.
  const std::shared_ptr<Storage>& storage() const { return storage_; }
  /// Whether other code can write to the memory undetected: another Tensor or view shares it, or a pointer from data()
  /// may still exist. False if an owner guards the memory.
  bool may_be_written() const { return !storage_->guarded() && (storage_.use_count() != 1 || storage_->given_out()); }

  /// The dtype, shape and first values, for messages and debugging.
  std::string str() const;

 private:
  void copy_in(const void* values, std::int64_t count);
  Storage& checked(DType wanted) const {
    if (!storage_ || wanted != dtype_) [[unlikely]]
      throw_no_data(wanted);
    return *storage_;
  }
  [[noreturn]] void throw_no_data(DType wanted) const;

  std::shared_ptr<Storage> storage_;
  Shape shape_;
  std::int64_t numel_ = 0;
  DType dtype_ = f32;
};

/// "f32 (2, 3)", for messages.
std::string form(DType dtype, const Shape& shape);
inline std::string form(const Tensor& t) { return form(t.dtype(), t.shape()); }

}  // namespace vg
