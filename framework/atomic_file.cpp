#include "framework/atomic_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <system_error>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "framework/error.hpp"

namespace vg {

namespace fs = std::filesystem;

namespace {

std::string reason(int error) { return std::generic_category().message(error); }

// A link is written through: the file it names is replaced, not the link.
fs::path target_of(const fs::path& path) {
  std::error_code ignored;
  if (!fs::is_symlink(path, ignored)) return path;
  fs::path target = fs::canonical(path, ignored);
  return ignored ? path : target;
}

// Unique among the processes and threads of this machine; O_EXCL settles the rest. The name is cut so that it fits
// where the file's own name fits.
fs::path temporary_beside(const fs::path& path) {
  static std::atomic<unsigned> count{0};
  const std::string name = path.filename().string().substr(0, 200);
  return path.parent_path() / fmt::format("{}.{}-{}.tmp", name, ::getpid(), count++);
}

}  // namespace

AtomicFile::AtomicFile(std::string where, const fs::path& path)
    : where_(std::move(where)), path_(target_of(path)), buffer_(std::make_unique<char[]>(capacity)) {
  struct stat old {};
  mode_t mode = 0;
  if (::stat(path_.c_str(), &old) == 0) {
    // A rename would put a plain file in the place of a device or a pipe.
    if (!S_ISREG(old.st_mode))
      throw IoError(fmt::format("{} cannot write {}: it is {}", where_, path_.string(),
                                S_ISDIR(old.st_mode) ? "a folder" : "not a regular file"));
    mode = old.st_mode & 07777;
  }
  create(mode);
}

void AtomicFile::create(mode_t mode) {
  do {
    temporary_ = temporary_beside(path_);
    fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (fd_ < 0 && (errno == EEXIST || errno == EINTR));
  if (fd_ < 0) fail(errno);
  // As readable as the file that is replaced; where that is not allowed, as any new file.
  if (mode != 0) std::ignore = ::fchmod(fd_, mode);
}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::fail(int error) const {
  throw IoError(fmt::format("{} cannot write {}: {}", where_, path_.string(), reason(error)));
}

void AtomicFile::put(std::string_view text) {
  while (!text.empty()) {
    char* to = room(1);
    const std::size_t n = text.copy(to, capacity - used_);
    wrote(to + n);
    text.remove_prefix(n);
  }
}

void AtomicFile::flush() {
  const char* from = buffer_.get();
  const char* const end = from + used_;
  while (from != end) {
    const ssize_t n = ::write(fd_, from, static_cast<std::size_t>(end - from));
    if (n < 0 && errno != EINTR) fail(errno);
    if (n > 0) from += n;
  }
  used_ = 0;
}

void AtomicFile::commit() {
  flush();
  while (::fsync(fd_) != 0)
    if (errno != EINTR) fail(errno);
  const int closed = ::close(std::exchange(fd_, -1));
  if (closed != 0 && errno != EINTR)
    fail(errno);  // after EINTR Linux has closed it, and fsync has the data on the disk
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail(errno);
  temporary_.clear();
  sync_folder();
}

// Makes the rename itself last through a power cut. The new file is in place: a file system that cannot do this is no
// failure.
void AtomicFile::sync_folder() const {
  const fs::path folder = path_.has_parent_path() ? path_.parent_path() : fs::path(".");
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

}  // namespace vg
