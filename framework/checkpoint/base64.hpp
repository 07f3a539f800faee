// Base64 of RFC 4648 (+ and /, padded), in pieces, because checkpoints stream it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vg::checkpoint {

/// The number of characters for `bytes` bytes, with the padding.
constexpr std::int64_t base64_size(std::int64_t bytes) { return (bytes + 2) / 3 * 4; }

/// Prints `bytes` bytes at `to` and returns the end. Only the last piece may have a size that is not a multiple of 3.
char* encode_base64(const unsigned char* from, std::size_t bytes, char* to);

/// Decodes groups of 4 characters to 3 bytes each. Returns the number of groups before the first that has another
/// character (padding too).
std::size_t decode_base64(const char* from, std::size_t groups, unsigned char* to);
/// Decodes the last group, of 1 or 2 bytes: "xx==" or "xxx=" with all unused bits zero. Returns false for any other
/// text.
bool decode_base64_tail(const char* from, std::size_t bytes, unsigned char* to);

}  // namespace vg::checkpoint
