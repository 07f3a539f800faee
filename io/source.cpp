#include "io/source.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "framework/error.hpp"

namespace vg::detail {

namespace {
std::string reason(int error) { return std::generic_category().message(error); }
}  // namespace

Source::Source(std::string where, const std::filesystem::path& path) : where_(std::move(where)), name_(path.string()) {
  // O_NONBLOCK: opening a pipe that nobody writes to would wait for ever.
  do fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  while (fd_ < 0 && errno == EINTR);
  if (fd_ < 0) fail(errno == ENOENT ? "there is no such file" : reason(errno));
  struct stat about {};
  if (::fstat(fd_, &about) != 0 || !S_ISREG(about.st_mode)) {
    ::close(fd_);
    fail("not a regular file");
  }
  size_ = about.st_size;
}

Source::Source(std::string where, std::string name, std::span<const unsigned char> bytes)
    : where_(std::move(where)),
      name_(std::move(name)),
      memory_(bytes),
      size_(static_cast<std::int64_t>(bytes.size())) {}

Source::~Source() {
  if (fd_ >= 0) ::close(fd_);
}

void Source::fail(const std::string& what) const { throw IoError(fmt::format("{} {}: {}", where_, name_, what)); }

void Source::read(std::int64_t at, void* to, std::int64_t bytes, const char* what) const {
  if (at < 0 || bytes < 0 || bytes > size_ || at > size_ - bytes)
    fail(fmt::format("truncated: it ends within {}", what));
  if (bytes == 0) return;
  if (fd_ < 0) {
    std::memcpy(to, memory_.data() + at, static_cast<std::size_t>(bytes));
    return;
  }
  auto* out = static_cast<char*>(to);
  while (bytes > 0) {
    const ssize_t got = ::pread(fd_, out, static_cast<std::size_t>(bytes), at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(fmt::format("reading {}: {}", what, reason(errno)));
    if (got == 0) fail(fmt::format("it became shorter while {} was read", what));
    out += got;
    at += got;
    bytes -= got;
  }
}

}  // namespace vg::detail
