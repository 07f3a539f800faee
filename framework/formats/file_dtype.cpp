#include "voxgrad/framework/formats/file_dtype.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/quote.hpp"

namespace vg::detail {

static_assert(std::endian::native == std::endian::little, "a little-endian file is read without a swap");

namespace {

constexpr std::int64_t block = 8192;  // elements converted at a time

/// Calls f with a value of the C++ type that holds the stored bits; half-precision numbers are passed as their bits.
template <class F>
void dispatch_stored(FileDType type, F&& f) {
  switch (type) {
    case FileDType::boolean:
    case FileDType::u8:
      return f(std::uint8_t{});
    case FileDType::i8:
      return f(std::int8_t{});
    case FileDType::f16:
    case FileDType::bf16:
    case FileDType::u16:
      return f(std::uint16_t{});
    case FileDType::i16:
      return f(std::int16_t{});
    case FileDType::u32:
      return f(std::uint32_t{});
    case FileDType::i32:
      return f(std::int32_t{});
    case FileDType::u64:
      return f(std::uint64_t{});
    case FileDType::i64:
      return f(std::int64_t{});
    case FileDType::f32:
      return f(float{});
    case FileDType::f64:
      return f(double{});
  }
}

/// Converts the bits of an f16 to a float exactly; a NaN keeps its payload.
float from_half(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000u) << 16;
  const std::uint32_t exponent = (half >> 10) & 0x1fu;
  const std::uint32_t fraction = half & 0x3ffu;
  if (exponent == 0) {  // fraction * 2^-24
    const float value = static_cast<float>(fraction) * 0x1p-24f;
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(value) | sign);
  }
  const std::uint32_t wide = exponent == 31 ? 255 : exponent + 112;
  return std::bit_cast<float>(sign | wide << 23 | fraction << 13);
}

float from_bf16(std::uint16_t bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }

template <class T>
void swap_bytes(T& value) {
  auto raw = std::bit_cast<std::array<unsigned char, sizeof(T)>>(value);
  std::reverse(raw.begin(), raw.end());
  value = std::bit_cast<T>(raw);
}

/// Converts integers and booleans to i32.
template <class T>
void convert(const RandomAccessFile& source, const StoredTensor& tensor, const T* from, std::int64_t n,
             std::int64_t first, std::int32_t* to) {
  for (std::int64_t i = 0; i < n; ++i) {
    if (!std::in_range<std::int32_t>(from[i]))
      source.fail(fmt::format("{}: element {} is {}; integers are read as i32, which does not hold it", tensor.name,
                              first + i, from[i]));
    if (tensor.type == FileDType::boolean && from[i] > 1)
      source.fail(
          fmt::format("{}: element {} is {}; a boolean is 0 or 1", tensor.name, first + i, static_cast<int>(from[i])));
    to[i] = static_cast<std::int32_t>(from[i]);
  }
}

template <class T>
Tensor read_integers(const RandomAccessFile& source, const StoredTensor& tensor, const NextBytes& next) {
  Tensor out(tensor.shape, i32);
  auto* to = out.data<std::int32_t>();
  std::vector<T> values(static_cast<std::size_t>(std::min(block, out.numel())));
  for (std::int64_t first = 0; first < out.numel(); first += block) {
    const std::int64_t n = std::min(block, out.numel() - first);
    next(values.data(), n * static_cast<std::int64_t>(sizeof(T)));
    if (tensor.swapped) std::for_each(values.begin(), values.begin() + n, swap_bytes<T>);
    convert(source, tensor, values.data(), n, first, to + first);
  }
  return out;
}

Tensor read_halves(const StoredTensor& tensor, const NextBytes& next) {
  Tensor out(tensor.shape, f32);
  auto* to = out.data<float>();
  std::vector<std::uint16_t> bits(static_cast<std::size_t>(std::min(block, out.numel())));
  for (std::int64_t first = 0; first < out.numel(); first += block) {
    const std::int64_t n = std::min(block, out.numel() - first);
    next(bits.data(), 2 * n);
    if (tensor.swapped) std::for_each(bits.begin(), bits.begin() + n, swap_bytes<std::uint16_t>);
    std::transform(bits.begin(), bits.begin() + n, to + first, tensor.type == FileDType::f16 ? from_half : from_bf16);
  }
  return out;
}

/// Reads a tensor whose stored type is f32, f64 or i32: the bytes go straight into the tensor.
template <class T>
Tensor read_native(const StoredTensor& tensor, const NextBytes& next) {
  Tensor out(tensor.shape, dtype_of<T>());
  T* to = out.data<T>();
  next(to, out.bytes());
  if (tensor.swapped) {  // as integers: loading a float may change the bits of a NaN
    using Bits = std::conditional_t<sizeof(T) == 8, std::uint64_t, std::uint32_t>;
    auto* bits = static_cast<Bits*>(static_cast<void*>(to));
    std::for_each(bits, bits + out.numel(), swap_bytes<Bits>);
  }
  return out;
}

}  // namespace

std::int64_t size_of(FileDType type) {
  std::int64_t bytes = 0;
  dispatch_stored(type, [&](auto zero) { bytes = static_cast<std::int64_t>(sizeof(zero)); });
  return bytes;
}

std::optional<std::int64_t> bytes_of(FileDType type, std::span<const std::int64_t> extents) {
  std::int64_t bytes = size_of(type);
  bool empty = false;
  for (const std::int64_t extent : extents) {
    empty |= extent == 0;
    if (__builtin_mul_overflow(bytes, std::max<std::int64_t>(extent, 1), &bytes)) return {};
  }
  return empty ? 0 : bytes;
}

Tensor read_stored(const RandomAccessFile& source, const StoredTensor& tensor, const NextBytes& next) {
  if (tensor.type == FileDType::f16 || tensor.type == FileDType::bf16) return read_halves(tensor, next);
  Tensor out;
  dispatch_stored(tensor.type, [&](auto zero) {
    using T = decltype(zero);
    if constexpr (std::is_floating_point_v<T> || std::is_same_v<T, std::int32_t>)
      out = read_native<T>(tensor, next);
    else
      out = read_integers<T>(source, tensor, next);
  });
  return out;
}

void check_written(const char* where, std::string_view name, const Tensor& tensor, std::set<std::string_view>& before) {
  if (!before.insert(name).second)
    throw ValueError(fmt::format("{} tensors: there are two of the name {}", where, in_quotes(name)));
  if (!tensor.defined()) throw ValueError(fmt::format("{} tensors: {} is undefined", where, in_quotes(name)));
}

}  // namespace vg::detail
