// Writes zip archives sequentially: an entry's checksum and packed size are computed before its header is written.
#include <algorithm>
#include <numeric>

#include <zlib.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/formats/zip.hpp"

namespace vg::detail {

namespace {

constexpr std::size_t largest_write = std::size_t{1} << 26;  // zlib counts in unsigned int
constexpr std::uint64_t ones = 0xffffffff;

template <class T>
void put(std::string& to, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) to += static_cast<char>(value >> (8 * i) & 0xff);
}

/// Calls f(bytes, count) for pieces of at most largest_write bytes.
template <class F>
void in_steps(std::string_view bytes, F&& f) {
  for (std::size_t at = 0; at < bytes.size(); at += largest_write) {
    const std::string_view step = bytes.substr(at, largest_write);
    f(reinterpret_cast<const Bytef*>(step.data()), static_cast<uInt>(step.size()));
  }
}

std::uint32_t checksum(const std::vector<std::string_view>& pieces) {
  uLong crc = crc32(0, nullptr, 0);
  for (const std::string_view piece : pieces)
    in_steps(piece, [&](const Bytef* bytes, uInt n) { crc = crc32(crc, bytes, n); });
  return static_cast<std::uint32_t>(crc);
}

class Deflate {
 public:
  Deflate() {
    if (deflateInit2(&z_, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK)
      throw std::bad_alloc();
  }
  ~Deflate() { deflateEnd(&z_); }
  Deflate(const Deflate&) = delete;
  Deflate& operator=(const Deflate&) = delete;

  std::string pack(const std::vector<std::string_view>& pieces) {
    for (const std::string_view piece : pieces)
      in_steps(piece, [&](const Bytef* bytes, uInt n) {
        z_.next_in = const_cast<Bytef*>(bytes);  // zlib only reads it
        z_.avail_in = n;
        run(Z_NO_FLUSH);
      });
    run(Z_FINISH);
    return std::move(out_);
  }

 private:
  void run(int flush) {
    char buffer[1 << 14];
    do {
      z_.next_out = reinterpret_cast<Bytef*>(buffer);
      z_.avail_out = sizeof(buffer);
      ::deflate(&z_, flush);  // fails only in a state that this class never reaches
      out_.append(buffer, sizeof(buffer) - z_.avail_out);
    } while (z_.avail_out == 0);
  }
  z_stream z_{};
  std::string out_;
};

}  // namespace

void ZipWriter::put(std::string_view bytes) {
  file_.put(bytes);
  at_ += bytes.size();
}

// The record of an entry: the short form before its data, or the long one in the directory.
std::string ZipWriter::record(const Written& entry, bool directory) const {
  const bool wide_sizes = std::max(entry.packed, entry.size) > limit_;
  const bool wide_offset = directory && entry.at > limit_;
  std::string extra;
  if (wide_sizes) detail::put(extra, entry.size), detail::put(extra, entry.packed);
  if (wide_offset) detail::put(extra, entry.at);
  std::string out;
  const auto two = [&](unsigned value) { detail::put(out, static_cast<std::uint16_t>(value)); };
  const auto four = [&](std::uint64_t value) { detail::put(out, static_cast<std::uint32_t>(value)); };
  const unsigned version = extra.empty() ? 20 : 45;
  const bool ascii = std::all_of(entry.name.begin(), entry.name.end(), [](char c) { return c > 0; });
  four(directory ? 0x02014b50 : 0x04034b50);
  if (directory) two(3 << 8 | version);  // made on Unix
  two(version);
  two(ascii ? 0 : 0x0800);
  two(deflate_ ? 8 : 0);
  two(0), two(33);  // 1980-01-01: a fixed date, so that equal tensors give equal files
  four(entry.crc);
  four(wide_sizes ? ones : entry.packed);
  four(wide_sizes ? ones : entry.size);
  two(static_cast<unsigned>(entry.name.size()));
  two(extra.empty() ? 0 : static_cast<unsigned>(extra.size() + 4));
  if (directory) {
    two(0), two(0), two(0);              // no comment, the first disk, no internal attributes
    four(std::uint64_t{0100600} << 16);  // a regular file that its owner can read and write
    four(wide_offset ? ones : entry.at);
  }
  out += entry.name;
  if (!extra.empty()) two(1), two(static_cast<unsigned>(extra.size()));
  return out + extra;
}

void ZipWriter::add(const std::string& name, const std::vector<std::string_view>& pieces) {
  const std::uint64_t size = std::accumulate(pieces.begin(), pieces.end(), std::uint64_t{0},
                                             [](std::uint64_t sum, std::string_view p) { return sum + p.size(); });
  Written entry{name, checksum(pieces), size, size, at_};
  std::string packed;
  if (deflate_) {
    packed = Deflate().pack(pieces);
    entry.packed = packed.size();
  }
  put(record(entry, false));
  if (deflate_)
    put(packed);
  else
    for (const std::string_view piece : pieces) put(piece);
  entries_.push_back(std::move(entry));
}

void ZipWriter::finish() {
  const std::uint64_t begin = at_;
  for (const Written& entry : entries_) put(record(entry, true));
  const std::uint64_t bytes = at_ - begin, end = at_, count = entries_.size();
  const bool wide = begin > limit_ || bytes > limit_ || count > 0xfffe;
  std::string out;
  const auto two = [&](std::uint64_t value) { detail::put(out, static_cast<std::uint16_t>(value)); };
  const auto four = [&](std::uint64_t value) { detail::put(out, static_cast<std::uint32_t>(value)); };
  const auto eight = [&](std::uint64_t value) { detail::put(out, value); };
  if (wide) {
    four(0x06064b50), eight(44), two(45), two(45), four(0), four(0);
    eight(count), eight(count), eight(bytes), eight(begin);
    four(0x07064b50), four(0), eight(end), four(1);
  }
  const std::uint64_t shown_count = wide ? 0xffff : count;
  four(0x06054b50), two(0), two(0), two(shown_count), two(shown_count);
  four(wide ? ones : bytes), four(wide ? ones : begin), two(0);
  put(out);
}

}  // namespace vg::detail
