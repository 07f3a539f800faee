#include "voxgrad/framework/checkpoint/text.hpp"

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

}  // namespace vg::checkpoint
