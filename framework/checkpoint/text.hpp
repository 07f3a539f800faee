// The text of numbers in checkpoints.
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

}  // namespace vg::checkpoint
