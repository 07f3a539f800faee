// Text from files and users, made safe to print in a message.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace vg {

/// Bytes of the UTF-8 sequence at the front of a text that is not empty; 0 when it is none (overlong, a surrogate, past
/// U+10FFFF, cut short).
std::size_t utf8_sequence(std::string_view text);
bool is_utf8(std::string_view text);

/// A text that can be printed on a terminal: control characters and bytes that are not UTF-8 as \x.., the control
/// characters past ASCII (C1, the marks of bidirectional text, line separators) as \u.....
std::string escaped(std::string_view text);
/// The same in quotes, cut after about 60 bytes: a message never carries a megabyte of a broken file.
std::string in_quotes(std::string_view text);
/// One byte, any.
std::string in_quotes(char byte);

}  // namespace vg
