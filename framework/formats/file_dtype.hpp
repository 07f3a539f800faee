// The element types of other programs' tensor files, and their conversion to a Tensor's. Internal to
// framework/formats/.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "voxgrad/framework/base/tensor.hpp"
#include "voxgrad/framework/formats/random_access_file.hpp"

namespace vg::detail {

enum class FileDType : std::uint8_t { boolean, u8, i8, u16, i16, u32, i32, u64, i64, f16, bf16, f32, f64 };

/// The bytes per element.
std::int64_t size_of(FileDType type);
/// The bytes of a tensor, or no value if the product of the extents other than 0 exceeds 2^63 - 1 bytes.
std::optional<std::int64_t> bytes_of(FileDType type, std::span<const std::int64_t> extents);

/// A stored tensor with contiguous bytes.
struct StoredTensor {
  std::string name;  ///< for messages: "tensor \"weight\""
  FileDType type{};
  bool swapped = false;  ///< in the other byte order
  Shape shape;
};
/// Copies the next `bytes` bytes to `to`.
using NextBytes = std::function<void(void* to, std::int64_t bytes)>;

/// Reads a row-major tensor: f16 and bf16 become f32; integers and booleans become i32. The caller has checked that the
/// file holds its bytes. Throws IoError through `source` for an integer that i32 cannot hold and for a boolean that is
/// neither 0 nor 1.
Tensor read_stored(const RandomAccessFile& source, const StoredTensor& tensor, const NextBytes& next);

/// For writers: throws ValueError for a name that is already in `before` and for an undefined tensor; the message
/// begins with `where`.
void check_written(const char* where, std::string_view name, const Tensor& tensor, std::set<std::string_view>& before);

}  // namespace vg::detail
