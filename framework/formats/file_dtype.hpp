// The element types of foreign tensor files, and how they become a Tensor's. Internal to framework/formats/.
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

/// Bytes of one element.
std::int64_t size_of(FileDType type);
/// Bytes of a tensor; none where they are more than 2^63 - 1, which a zero among the other extents does not excuse.
std::optional<std::int64_t> bytes_of(FileDType type, std::span<const std::int64_t> extents);

/// A stored tensor, whose bytes come one after the other.
struct StoredTensor {
  std::string name;  ///< for messages: "tensor \"weight\""
  FileDType type{};
  bool swapped = false;  ///< in the other byte order
  Shape shape;
};
/// Puts the next `bytes` at `to`.
using NextBytes = std::function<void(void* to, std::int64_t bytes)>;

/// Reads a row-major tensor: f16 and bf16 as f32, integers and booleans as i32, which holds every value or the file is
/// refused. The caller has checked that its bytes are in the file. Throws IoError through `source` for
/// an element that the dtype does not hold.
Tensor read_stored(const RandomAccessFile& source, const StoredTensor& tensor, const NextBytes& next);

/// For writers: throws ValueError, its message begun by `where`, for a name that is among those before it, and for an
/// undefined tensor.
void check_written(const char* where, std::string_view name, const Tensor& tensor, std::set<std::string_view>& before);

}  // namespace vg::detail
