#include "voxgrad/framework/formats/random_access_file.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/system/file_signature.hpp"

namespace vg::detail {

RandomAccessFile::RandomAccessFile(std::string where, const std::filesystem::path& path)
    : where_(std::move(where)), name_(path.string()), file_(where_, path), size_(file_.size()) {}

RandomAccessFile::RandomAccessFile(std::string where, std::string name, std::span<const unsigned char> bytes)
    : where_(std::move(where)),
      name_(std::move(name)),
      memory_(bytes),
      size_(static_cast<std::int64_t>(bytes.size())) {}

void RandomAccessFile::fail(const std::string& what) const {
  throw IoError(fmt::format("{} {}: {}", where_, name_, what));
}

std::string RandomAccessFile::looks_like() const {
  std::string first(static_cast<std::size_t>(std::min<std::int64_t>(size_, signature_bytes)), '\0');
  read(0, first.data(), static_cast<std::int64_t>(first.size()), "its first bytes");
  return detail::looks_like(first);
}

void RandomAccessFile::read(std::int64_t at, void* to, std::int64_t bytes, const char* what) const {
  if (at < 0 || bytes < 0 || bytes > size_ || at > size_ - bytes)
    fail(fmt::format("truncated: it ends within {}", what));
  if (bytes == 0) return;
  if (file_.descriptor() < 0) {
    std::memcpy(to, memory_.data() + at, static_cast<std::size_t>(bytes));
    return;
  }
  auto* out = static_cast<char*>(to);
  while (bytes > 0) {
    const ssize_t got = ::pread(file_.descriptor(), out, static_cast<std::size_t>(bytes), at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(fmt::format("reading {}: {}", what, std::generic_category().message(errno)));
    if (got == 0) fail(fmt::format("it became shorter while {} was read", what));
    out += got;
    at += got;
    bytes -= got;
  }
}

}  // namespace vg::detail
