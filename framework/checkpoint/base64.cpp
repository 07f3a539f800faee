#include "voxgrad/framework/checkpoint/base64.hpp"

#include <array>
#include <string_view>

namespace vg::checkpoint {

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
