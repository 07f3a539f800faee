// The text of numbers in checkpoints: decimals, and base64 of RFC 4648 (+ and /, padded) in pieces, because checkpoints
// stream it.
//
// A finite number is written as the shortest decimal that reads back as the same bits of its own type. Values that JSON
// cannot express as numbers are strings: "nan", "inf", "-inf", or "nan:0x7fc00001" for a NaN whose bits are not those
// of the quiet positive one. The locale has no effect.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace vg::checkpoint {

/// The maximum length of a number's text.
inline constexpr std::size_t number_room = 40;

/// Prints at `to`, which has room for number_room bytes, and returns the end.
char* print(char* to, float value);
char* print(char* to, double value);
char* print(char* to, std::int32_t value);
char* print(char* to, std::int64_t value);
/// Like print(), except that the text never looks like an integer: "2.0".
char* print_real(char* to, double value);

/// The value of "nan", "inf", "-inf" or "nan:0x..." (8 lower-case digits for float, 16 for double: the bits of a NaN).
/// Returns whether the text was one of these. Bits are handled as integers, because a conversion would change a
/// signalling NaN.
bool parse_special(std::string_view text, float& out);
bool parse_special(std::string_view text, double& out);

/// The end of the JSON number that begins at `p`, or nullptr if there is none. `integer` is set to whether it has
/// neither fraction nor exponent. The scan ends at the first byte that no number contains, at a zero byte at the
/// latest.
const char* number_end(const char* p, bool& integer);
/// The nearest value to the text of a JSON number, rounded once; infinite if it exceeds the type's range.
float parse_float(std::string_view text);
double parse_double(std::string_view text);

// ---- base64 -------------------------------------------------------------------------------------------------------

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
