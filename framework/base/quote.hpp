// Makes text from files and users safe to print in a message.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace vg {

/// The length in bytes of the UTF-8 sequence at the front of a text, which must not be empty. 0 if the sequence is
/// invalid (overlong, a surrogate, past U+10FFFF, cut short).
std::size_t utf8_sequence(std::string_view text);
bool is_utf8(std::string_view text);

/// The text in a form that is safe to print on a terminal. ASCII control characters and bytes that are not UTF-8 become
/// \x..; the other control characters (C1, the marks of bidirectional text, line separators) become \u.....
std::string escaped(std::string_view text);
/// escaped() in quotes, cut after about 60 bytes, so that a message never contains a megabyte of a broken file.
std::string in_quotes(std::string_view text);
/// The same for one byte of any value.
std::string in_quotes(char byte);

}  // namespace vg
