// Base64 of RFC 4648 (+ and /, padded), in pieces: checkpoints stream it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vg::checkpoint {

/// Characters for so many bytes, with the padding.
constexpr std::int64_t base64_size(std::int64_t bytes) { return (bytes + 2) / 3 * 4; }

/// Prints `bytes` bytes at `to` and returns the end; only a last piece may have another number than a multiple of 3.
char* encode_base64(const unsigned char* from, std::size_t bytes, char* to);

/// Reads groups of 4 characters to 3 bytes each. Returns the number of groups before the first that has another
/// character (padding too).
std::size_t decode_base64(const char* from, std::size_t groups, unsigned char* to);
/// The last group, of 1 or 2 bytes: "xx==" or "xxx=", with no bit set that is not theirs. Returns whether it is that.
bool decode_base64_tail(const char* from, std::size_t bytes, unsigned char* to);

}  // namespace vg::checkpoint
