#include "segment_brain/png.hpp"

#include <stdexcept>

#include <zlib.h>

namespace {

void append_number(std::string& to, std::size_t n) {
  for (int shift = 24; shift >= 0; shift -= 8) to.push_back(static_cast<char>((n >> shift) & 255));
}

void append_chunk(std::string& to, const std::string& type, const std::string& data) {
  append_number(to, data.size());
  const std::string body = type + data;
  to += body;
  append_number(to, crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size())));
}

std::string deflated(const std::string& raw) {
  uLongf size = compressBound(raw.size());
  std::string out(size, '\0');
  if (compress2(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<const Bytef*>(raw.data()), raw.size(),
                9) != Z_OK)
    throw std::runtime_error("[png] zlib could not compress the picture");
  out.resize(size);
  return out;
}

std::string base64(const std::string& bytes) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const auto byte = [&](std::size_t k) {
      return i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u;
    };
    const unsigned group = byte(0) << 16 | byte(1) << 8 | byte(2);
    for (unsigned k = 0; k < 4; ++k) text.push_back(i + k > bytes.size() ? '=' : digits[group >> (18 - 6 * k) & 63]);
  }
  return text;
}

}  // namespace

std::string png_data_uri(const Picture& picture) {
  std::string raw;  // each row begins with its filter; 0 means none
  const std::size_t row = static_cast<std::size_t>(picture.width) * 3;
  for (std::size_t y = 0; y < static_cast<std::size_t>(picture.height); ++y) {
    raw.push_back(0);
    raw.append(reinterpret_cast<const char*>(picture.rgb.data()) + y * row, row);
  }
  std::string header;
  append_number(header, static_cast<std::size_t>(picture.width));
  append_number(header, static_cast<std::size_t>(picture.height));
  header += std::string("\x08\x02\x00\x00\x00", 5);  // 8 bits, RGB, deflate, adaptive filters, not interlaced
  std::string file = "\x89PNG\r\n\x1a\n";
  append_chunk(file, "IHDR", header);
  append_chunk(file, "IDAT", deflated(raw));
  append_chunk(file, "IEND", "");
  return "data:image/png;base64," + base64(file);
}
