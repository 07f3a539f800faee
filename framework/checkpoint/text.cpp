#include "framework/checkpoint/text.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <limits>
#include <type_traits>

#include <fmt/format.h>

namespace vg::checkpoint {

namespace {

template <class T>
using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
template <class T>
constexpr Bits<T> plain_nan = sizeof(T) == 4 ? Bits<T>{0x7fc00000} : static_cast<Bits<T>>(0x7ff8000000000000);

char* copy(char* to, std::string_view text) { return text.copy(to, text.size()) + to; }

template <class T>
char* print_special(char* to, T value) {
  if (!std::isnan(value)) return copy(to, value > 0 ? "\"inf\"" : "\"-inf\"");
  const auto bits = std::bit_cast<Bits<T>>(value);
  if (bits == plain_nan<T>) return copy(to, "\"nan\"");
  return fmt::format_to(to, "\"nan:0x{:0{}x}\"", bits, 2 * sizeof(T));
}

template <class T>
char* print_float(char* to, T value) {
  if (!std::isfinite(value)) return print_special(to, value);
  // to_chars gives "-0", which JSON readers take for the integer 0.
  if (value == 0 && std::signbit(value)) return copy(to, "-0.0");
  return std::to_chars(to, to + number_room, value).ptr;
}

template <class T>
bool parse_nan_bits(std::string_view digits, T& out) {
  if (digits.size() != 2 * sizeof(T) || digits.find_first_not_of("0123456789abcdef") != std::string_view::npos)
    return false;
  Bits<T> bits = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), bits, 16);
  out = std::bit_cast<T>(bits);
  return std::isnan(out);
}

template <class T>
bool parse_special_as(std::string_view text, T& out) {
  constexpr std::string_view prefix = "nan:0x";
  if (text.starts_with(prefix)) return parse_nan_bits(text.substr(prefix.size()), out);
  if (text == "nan")
    out = std::bit_cast<T>(plain_nan<T>);
  else if (text == "inf")
    out = std::numeric_limits<T>::infinity();
  else if (text == "-inf")
    out = -std::numeric_limits<T>::infinity();
  else
    return false;
  return true;
}

// Whether a number that no value of its type is near to is small rather than large: by the place of its first digit.
bool is_tiny(std::string_view text) {
  std::int64_t exponent = 0, place = 0;
  if (const std::size_t e = text.find_first_of("eE"); e != std::string_view::npos) {
    std::string_view digits = text.substr(e + 1);
    if (digits.front() == '+') digits.remove_prefix(1);
    const bool negative = digits.front() == '-';
    if (std::from_chars(digits.data(), digits.data() + digits.size(), exponent).ec != std::errc()) return negative;
    text = text.substr(0, e);
  }
  const std::size_t point = std::min(text.find('.'), text.size()), first = text.find_first_of("123456789");
  if (first == std::string_view::npos) return true;
  place = static_cast<std::int64_t>(point) - static_cast<std::int64_t>(first);
  return place < 0 ? exponent < -place : exponent < 0 && exponent + place < 0;
}

template <class T>
T parse_real(std::string_view text) {
  T value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec == std::errc()) return value;
  const T size = is_tiny(text) ? T{0} : std::numeric_limits<T>::infinity();
  return text.front() == '-' ? -size : size;
}

}  // namespace

char* print(char* to, float value) { return print_float(to, value); }
char* print(char* to, double value) { return print_float(to, value); }
char* print(char* to, std::int32_t value) { return std::to_chars(to, to + number_room, value).ptr; }
char* print(char* to, std::int64_t value) { return std::to_chars(to, to + number_room, value).ptr; }

char* print_real(char* to, double value) {
  char* end = print(to, value);
  const std::string_view text(to, static_cast<std::size_t>(end - to));
  return text.find_first_of(".e\"") == std::string_view::npos ? copy(end, ".0") : end;
}

bool parse_special(std::string_view text, float& out) { return parse_special_as(text, out); }
bool parse_special(std::string_view text, double& out) { return parse_special_as(text, out); }

float parse_float(std::string_view text) { return parse_real<float>(text); }
double parse_double(std::string_view text) { return parse_real<double>(text); }

const char* number_end(const char* p, bool& integer) {
  const auto digit = [](char c) { return static_cast<unsigned char>(c - '0') < 10; };
  if (*p == '-') ++p;
  if (!digit(*p)) return nullptr;
  if (*p++ != '0')
    while (digit(*p)) ++p;
  integer = true;
  if (*p == '.') {
    integer = false;
    if (!digit(*++p)) return nullptr;
    while (digit(*p)) ++p;
  }
  if (*p == 'e' || *p == 'E') {
    integer = false;
    ++p;
    if (*p == '+' || *p == '-') ++p;
    if (!digit(*p)) return nullptr;
    while (digit(*p)) ++p;
  }
  return p;
}

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

// The code point of a sequence of utf8_sequence() bytes.
std::uint32_t code_of(std::string_view sequence) {
  auto code = static_cast<std::uint32_t>(static_cast<unsigned char>(sequence[0]));
  if (sequence.size() > 1) code &= 0x7fu >> sequence.size();
  for (const char c : sequence.substr(1)) code = code << 6 | (static_cast<unsigned char>(c) & 0x3fu);
  return code;
}

// What a terminal obeys instead of printing it: C0 and C1, the marks that turn the direction of text, line separators.
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

std::string shown(std::string_view text) {
  constexpr std::size_t most = 60;
  if (text.size() <= most) return fmt::format("\"{}\"", escaped(text));
  std::size_t end = most;  // not within a UTF-8 sequence
  while (end > most - 4 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return fmt::format("\"{}...\"", escaped(text.substr(0, end)));
}

std::string shown(char byte) { return shown(std::string_view(&byte, 1)); }

}  // namespace vg::checkpoint
