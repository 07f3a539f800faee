// Numbers as checkpoint text.
//
// A finite number is the shortest decimal that reads back as the same bits of its own type; what JSON has no number for
// is a string: "nan", "inf", "-inf", or "nan:0x7fc00001" for a NaN of other bits than the quiet positive one. No locale
// is involved.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace vg::checkpoint {

/// No number's text is longer.
inline constexpr std::size_t number_room = 40;

/// Prints at `to`, which has number_room bytes, and returns the end.
char* print(char* to, float value);
char* print(char* to, double value);
char* print(char* to, std::int32_t value);
char* print(char* to, std::int64_t value);
/// As print(), but never looks like an integer: "2.0".
char* print_real(char* to, double value);

/// The value of "nan", "inf", "-inf" or "nan:0x..." (8 lower-case digits for float, 16 for double, the bits of a NaN).
/// Returns whether it was one. Bits come and go as integers: a signalling NaN would not survive a conversion.
bool parse_special(std::string_view text, float& out);
bool parse_special(std::string_view text, double& out);

/// The end of the JSON number that begins at `p`, or nullptr where none does. `integer`: it has neither fraction nor
/// exponent. The scan ends at the first byte that no number has, so at a zero byte at the latest.
const char* number_end(const char* p, bool& integer);
/// The nearest value to the text of a JSON number, rounded once; infinite when it passes the type's range.
float parse_float(std::string_view text);
double parse_double(std::string_view text);

}  // namespace vg::checkpoint
