#include "voxgrad/framework/system/regular_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"

namespace vg::detail {

namespace {

std::string_view kind_of(mode_t mode) {
  if (S_ISFIFO(mode)) return "a FIFO or pipe";
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISSOCK(mode)) return "a socket";
  if (S_ISCHR(mode)) return "a character device";
  if (S_ISBLK(mode)) return "a block device";
  return "not a file";
}

std::string not_regular(const struct stat& found) {
  return fmt::format("it is {}, not a regular file; only regular files are read", kind_of(found.st_mode));
}

std::string reason(int error) {
  return error == ENOENT ? "there is no such file" : std::generic_category().message(error);
}

}  // namespace

// The kind is checked twice: before opening, so that no device or FIFO is opened, and after, because another file may
// have replaced it in between. With O_NONBLOCK, opening a FIFO then does not block.
RegularFile::RegularFile(std::string_view where, const std::filesystem::path& path) {
  const auto fail = [&](const std::string& what) {
    close();
    throw IoError(fmt::format("{} {}: {}", where, path.string(), what));
  };
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0) fail(reason(errno));
  if (!S_ISREG(found.st_mode)) fail(not_regular(found));
  do fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  while (fd_ < 0 && errno == EINTR);
  if (fd_ < 0) fail(reason(errno));
  if (::fstat(fd_, &found) != 0) fail(reason(errno));
  if (!S_ISREG(found.st_mode)) fail(not_regular(found));
  size_ = found.st_size;
}

void RegularFile::close() {
  if (const int fd = release(); fd >= 0) ::close(fd);
}

RegularFile::~RegularFile() { close(); }
RegularFile::RegularFile(RegularFile&& other) noexcept : fd_(other.release()), size_(other.size_) {}
RegularFile& RegularFile::operator=(RegularFile&& other) noexcept {
  if (this != &other) {
    close();
    size_ = other.size_;
    fd_ = other.release();
  }
  return *this;
}

int RegularFile::release() { return std::exchange(fd_, -1); }

}  // namespace vg::detail
