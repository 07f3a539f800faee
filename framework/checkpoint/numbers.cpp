#include "voxgrad/framework/checkpoint/numbers.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <limits>
#include <string_view>
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
  // to_chars prints "-0", which JSON readers take for the integer 0.
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

// Whether a number outside its type's range is too small rather than too large, by the place of its first digit.
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

// ---- base64 -------------------------------------------------------------------------------------------------------

namespace {

constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::uint32_t bad = 0xff000000;

// One table entry of two letters per 12 bits halves the steps of one letter per 6 bits and still fits in the L1 cache.
constexpr auto pairs = [] {
  std::array<std::array<char, 2>, 4096> table{};
  for (std::size_t i = 0; i < table.size(); ++i) table[i] = {letters[i >> 6], letters[i & 63]};
  return table;
}();

// The bits that a letter at each of the four places adds to the three bytes. The first byte is the lowest, because they
// are stored as a word.
constexpr auto places = [] {
  std::array<std::array<std::uint32_t, 256>, 4> table{};
  for (auto& place : table) place.fill(bad);
  for (std::uint32_t v = 0; v < letters.size(); ++v) {
    const auto letter = static_cast<unsigned char>(letters[v]);
    table[0][letter] = v << 2;
    table[1][letter] = v >> 4 | (v & 15) << 12;
    table[2][letter] = (v >> 2) << 8 | (v & 3) << 22;
    table[3][letter] = v << 16;
  }
  return table;
}();

std::uint32_t group(const char* from) {
  const auto at = [&](std::size_t i) { return places[i][static_cast<unsigned char>(from[i])]; };
  return at(0) | at(1) | at(2) | at(3);
}

void store(std::uint32_t word, unsigned char* to) {
  to[0] = static_cast<unsigned char>(word);
  to[1] = static_cast<unsigned char>(word >> 8);
  to[2] = static_cast<unsigned char>(word >> 16);
}

}  // namespace

char* encode_base64(const unsigned char* from, std::size_t bytes, char* to) {
  for (; bytes >= 3; bytes -= 3, from += 3, to += 4) {
    const auto& first = pairs[static_cast<std::size_t>(from[0] << 4 | from[1] >> 4)];
    const auto& second = pairs[static_cast<std::size_t>((from[1] & 15) << 8 | from[2])];
    to[0] = first[0], to[1] = first[1], to[2] = second[0], to[3] = second[1];
  }
  if (bytes == 0) return to;
  const unsigned low = bytes == 2 ? from[1] : 0u;
  const auto& first = pairs[from[0] << 4 | low >> 4];
  to[0] = first[0], to[1] = first[1];
  to[2] = bytes == 2 ? letters[(low & 15) << 2] : '=';
  to[3] = '=';
  return to + 4;
}

std::size_t decode_base64(const char* from, std::size_t groups, unsigned char* to) {
  std::size_t i = 0;
  for (; i < groups; ++i, from += 4, to += 3) {
    const std::uint32_t word = group(from);
    if ((word & bad) != 0) break;
    store(word, to);
  }
  return i;
}

bool decode_base64_tail(const char* from, std::size_t bytes, unsigned char* to) {
  if (from[3] != '=' || (bytes == 1 && from[2] != '=')) return false;
  const char padded[4] = {from[0], from[1], bytes == 2 ? from[2] : 'A', 'A'};
  const std::uint32_t word = group(padded);
  if ((word & bad) != 0 || word >> (8 * bytes) != 0) return false;
  for (std::size_t i = 0; i < bytes; ++i) to[i] = static_cast<unsigned char>(word >> (8 * i));
  return true;
}

}  // namespace vg::checkpoint
