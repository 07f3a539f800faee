#include "voxgrad/framework/base/quote.hpp"

#include <algorithm>
#include <cstdint>

#include <fmt/format.h>

namespace vg {

std::size_t utf8_sequence(std::string_view s) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(s[i]); };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t n = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || s.size() < n) return 0;
  for (std::size_t i = 1; i < n; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  const unsigned second = byte(1);
  const bool wrong = (first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
                     (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f);
  return wrong ? 0 : n;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t n = utf8_sequence(text);
    if (n == 0) return false;
    text.remove_prefix(n);
  }
  return true;
}

namespace {

// The code point of one UTF-8 sequence, whose length is utf8_sequence().
std::uint32_t code_of(std::string_view sequence) {
  auto code = static_cast<std::uint32_t>(static_cast<unsigned char>(sequence[0]));
  if (sequence.size() > 1) code &= 0x7fu >> sequence.size();
  for (const char c : sequence.substr(1)) code = code << 6 | (static_cast<unsigned char>(c) & 0x3fu);
  return code;
}

// Characters that a terminal obeys instead of printing: C0 and C1, the bidirectional marks, the line separators.
bool is_control(std::uint32_t code) {
  const auto within = [&](std::uint32_t first, std::uint32_t last) { return code >= first && code <= last; };
  return code < 0x20 || within(0x7f, 0x9f) || code == 0x61c || within(0x200e, 0x200f) || within(0x2028, 0x202e) ||
         within(0x2066, 0x2069);
}

}  // namespace

std::string escaped(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t n = std::max<std::size_t>(1, utf8_sequence(text));
    const std::string_view sequence = text.substr(0, n);
    const std::uint32_t code = code_of(sequence);
    if (n == 1 && (code >= 0x7f || code < 0x20))
      out += fmt::format("\\x{:02x}", code);
    else if (is_control(code))
      out += fmt::format("\\u{:04x}", code);
    else
      out += sequence;
    text.remove_prefix(n);
  }
  return out;
}

std::string in_quotes(std::string_view text) {
  constexpr std::size_t most = 60;
  if (text.size() <= most) return fmt::format("\"{}\"", escaped(text));
  std::size_t end = most;  // do not cut within a UTF-8 sequence
  while (end > most - 4 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return fmt::format("\"{}...\"", escaped(text.substr(0, end)));
}

std::string in_quotes(char byte) { return in_quotes(std::string_view(&byte, 1)); }

}  // namespace vg
