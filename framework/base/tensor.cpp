#include "voxgrad/framework/base/tensor.hpp"

#include <algorithm>
#include <atomic>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/out_of_memory.hpp"
#include "voxgrad/framework/base/threads.hpp"

namespace vg {

namespace {

constexpr std::int64_t grain = std::int64_t{1} << 16;

std::int64_t checked_bytes(std::int64_t numel, DType dtype) {
  std::int64_t bytes = 0;
  if (__builtin_mul_overflow(numel, size_of(dtype), &bytes))
    throw ValueError(fmt::format("[Tensor] {} elements of {} pass 2^63 - 1 bytes", numel, name_of(dtype)));
  return bytes;
}

// The memory of a new tensor. Throws MemoryError with its shape.
std::shared_ptr<Storage> make_storage(const Shape& shape, DType dtype) {
  const std::int64_t bytes = checked_bytes(shape.numel(), dtype);
  try {
    return std::make_shared<Storage>(bytes);
  } catch (const MemoryError&) {
    throw out_of_memory("a tensor " + form(dtype, shape), static_cast<std::size_t>(bytes));
  }
}

template <class T>
void fill(T* p, std::int64_t n, T value) {
  parallel_ranges(n, grain, [&](std::int64_t b, std::int64_t e) { std::fill(p + b, p + e, value); });
}

template <class To, class From>
void convert(const From* from, To* to, std::int64_t n) {
  parallel_ranges(n, grain, [&](std::int64_t b, std::int64_t e) {
    for (std::int64_t i = b; i < e; ++i) to[i] = static_cast<To>(from[i]);
  });
}

}  // namespace

Tensor::Tensor(const Shape& shape, DType dtype)
    : storage_(make_storage(shape, dtype)), shape_(shape), numel_(shape.numel()), dtype_(dtype) {}

Tensor Tensor::zeros(const Shape& shape, DType dtype) { return full(shape, 0.0, dtype); }
Tensor Tensor::ones(const Shape& shape, DType dtype) { return full(shape, 1.0, dtype); }

Tensor Tensor::full(const Shape& shape, double value, DType dtype) {
  Tensor t(shape, dtype);
  dispatch(dtype, [&](auto tag) { fill(t.data<decltype(tag)>(), t.numel(), static_cast<decltype(tag)>(value)); });
  t.storage_->pointers_dropped();
  return t;
}

Tensor Tensor::arange(std::int64_t n, DType dtype) {
  Tensor t({n}, dtype);
  dispatch(dtype, [&](auto tag) {
    auto* p = t.data<decltype(tag)>();
    for (std::int64_t i = 0; i < n; ++i) p[i] = static_cast<decltype(tag)>(i);
  });
  t.storage_->pointers_dropped();
  return t;
}

const void* Tensor::raw() const { return storage_ ? storage_->data() : nullptr; }
void* Tensor::raw() { return storage_ ? storage_->writable() : nullptr; }

void Tensor::throw_no_data(DType wanted) const {
  if (!storage_) throw ValueError("[Tensor] data(): the tensor is undefined");
  throw TypeError(fmt::format("[Tensor] data<T>(): got T = {}; the tensor holds {}", name_of(wanted), name_of(dtype_)));
}

void Tensor::copy_in(const void* values, std::int64_t count) {
  if (count != numel_)
    throw ValueError(fmt::format("[Tensor] of: got {} values; the shape {} needs {}", count, shape_.str(), numel_));
  if (count != 0) std::memcpy(storage_->data(), values, static_cast<std::size_t>(bytes()));
}

double Tensor::item() const {
  if (numel_ != 1 || !storage_)
    throw ValueError(fmt::format("[Tensor] item(): the shape is {}; it needs exactly one element", shape_.str()));
  return value_at(0);
}

double Tensor::value_at(std::int64_t i) const {
  if (i < 0 || i >= numel_) throw ValueError(fmt::format("[Tensor] value_at: got {}; must be in [0, {})", i, numel_));
  return dispatch(dtype_, [&](auto tag) { return static_cast<double>(data<decltype(tag)>()[i]); });
}

std::vector<double> Tensor::values() const {
  std::vector<double> v(static_cast<std::size_t>(numel_));
  dispatch(dtype_, [&](auto tag) {
    const auto* p = data<decltype(tag)>();
    std::copy(p, p + numel_, v.begin());
  });
  return v;
}

Tensor Tensor::clone() const {
  if (!storage_) return {};
  Tensor t(shape_, dtype_);
  const char* from = static_cast<const char*>(raw());
  char* to = static_cast<char*>(t.raw());
  parallel_ranges(bytes(), grain * 4, [&](std::int64_t b, std::int64_t e) {
    std::memcpy(to + b, from + b, static_cast<std::size_t>(e - b));
  });
  t.storage_->pointers_dropped();
  return t;
}

Tensor Tensor::reshape(const ShapeArg& shape) const {
  Tensor t = *this;
  t.shape_ = shape.reshaped_from("reshape", shape_);
  return t;
}

Tensor Tensor::to(DType dtype) const {
  if (dtype == dtype_ || !storage_) return *this;
  Tensor t(shape_, dtype);
  dispatch(dtype_, [&](auto from) {
    dispatch(dtype, [&](auto to) { convert(data<decltype(from)>(), t.data<decltype(to)>(), numel_); });
  });
  t.storage_->pointers_dropped();
  return t;
}

// The last other holder may have belonged to another thread (a save in the background). The fence orders that thread's
// reads before the writes that follow here.
bool Tensor::unique() const {
  if (storage_.use_count() != 1) return false;
#ifdef __SANITIZE_THREAD__  // does not support fences; the copied pointer's count synchronises in the same way
  std::shared_ptr<Storage> counted = storage_;
#else
  std::atomic_thread_fence(std::memory_order_acquire);
#endif
  return true;
}
void Tensor::make_unique() {
  if (storage_ && !unique()) *this = clone();
}

std::string form(DType dtype, const Shape& shape) { return fmt::format("{} {}", name_of(dtype), shape.str()); }

std::string Tensor::str() const {
  if (!storage_) return "Tensor()";
  std::string text = fmt::format("Tensor {} [", form(*this));
  const std::int64_t shown = std::min<std::int64_t>(numel_, 8);
  for (std::int64_t i = 0; i < shown; ++i) text += fmt::format("{}{:.6g}", i ? ", " : "", value_at(i));
  return text + (shown < numel_ ? ", ...]" : "]");
}

}  // namespace vg
