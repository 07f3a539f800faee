// Unpacks one entry of a zip archive.
#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <zlib.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/quote.hpp"
#include "voxgrad/framework/formats/zip.hpp"

namespace vg::detail {

namespace {
constexpr std::int64_t largest_step = std::int64_t{1} << 26;  // zlib counts in unsigned int
constexpr std::int64_t input_bytes = 1 << 14;
}  // namespace

struct ZipStream::Inflate {
  Inflate() {
    if (inflateInit2(&z, -15) != Z_OK) throw std::bad_alloc();  // raw deflate: zip has its own header and checksum
  }
  ~Inflate() { inflateEnd(&z); }
  Inflate(const Inflate&) = delete;
  Inflate& operator=(const Inflate&) = delete;

  z_stream z{};
  bool ended = false;
  std::array<unsigned char, input_bytes> input;
};

ZipStream::ZipStream(const RandomAccessFile& source, const ZipEntry& entry)
    : source_(source),
      entry_(entry),
      left_(entry.size),
      packed_left_(entry.packed),
      crc_(static_cast<std::uint32_t>(crc32(0, nullptr, 0))) {
  if (entry.deflated) inflate_ = std::make_unique<Inflate>();
}

ZipStream::~ZipStream() = default;

void ZipStream::fail(const std::string& what) const {
  source_.fail(fmt::format("entry {}: {}", in_quotes(entry_.name), what));
}

void ZipStream::take_packed(unsigned char* to, std::int64_t bytes) {
  source_.read(entry_.at + entry_.packed - packed_left_, to, bytes, "an entry");
  packed_left_ -= bytes;
}

void ZipStream::read(void* to, std::int64_t bytes) {
  if (bytes > left_) fail("it ends too early");
  auto* out = static_cast<unsigned char*>(to);
  while (bytes > 0) {
    const std::int64_t step = std::min(bytes, largest_step);
    if (inflate_) {
      inflate(out, step);
    } else {
      take_packed(out, step);
    }
    crc_ = static_cast<std::uint32_t>(crc32(crc_, out, static_cast<uInt>(step)));
    out += step;
    bytes -= step;
    left_ -= step;
  }
}

/// Gives zlib more packed bytes if it has none left.
void ZipStream::refill() {
  z_stream& z = inflate_->z;
  if (z.avail_in != 0) return;
  const std::int64_t step = std::min(packed_left_, input_bytes);
  take_packed(inflate_->input.data(), step);
  z.next_in = inflate_->input.data();
  z.avail_in = static_cast<uInt>(step);
}

void ZipStream::inflate(unsigned char* to, std::int64_t bytes) {
  z_stream& z = inflate_->z;
  z.next_out = to;
  z.avail_out = static_cast<uInt>(bytes);
  while (z.avail_out > 0) {
    if (inflate_->ended)
      fail(fmt::format("its deflate stream ends too early, {} bytes before", left_ - bytes + z.avail_out));
    refill();
    const int code = ::inflate(&z, Z_NO_FLUSH);
    if (code == Z_MEM_ERROR) throw std::bad_alloc();
    if (code == Z_BUF_ERROR && z.avail_in == 0 && packed_left_ == 0) fail("its deflate stream is cut");
    if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
      fail(fmt::format("damaged deflate stream: {}", z.msg ? z.msg : "it needs a dictionary"));
    inflate_->ended = code == Z_STREAM_END;
  }
}

void ZipStream::finish() {
  if (left_ != 0) fail(fmt::format("{} bytes follow its data", left_));
  if (inflate_ && !inflate_->ended) {  // the mark of the end may follow the last output
    unsigned char more = 0;
    z_stream& z = inflate_->z;
    do {
      refill();
      z.next_out = &more;
      z.avail_out = 1;
      const int code = ::inflate(&z, Z_NO_FLUSH);
      if (code != Z_OK && code != Z_STREAM_END) fail("its deflate stream does not end with its data");
      if (z.avail_out == 0) fail("its deflate stream has more bytes than the directory says");
      inflate_->ended = code == Z_STREAM_END;
    } while (!inflate_->ended);
  }
  if (packed_left_ != 0 || (inflate_ && inflate_->z.avail_in != 0)) fail("bytes follow its deflate stream");
  if (crc_ != entry_.crc)
    fail(fmt::format("damaged: the checksum of its data is {:08x}; {:08x} is written", crc_, entry_.crc));
}

}  // namespace vg::detail
