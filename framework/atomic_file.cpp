#include "framework/atomic_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <optional>
#include <system_error>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "framework/error.hpp"
#include "framework/names_in.hpp"

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

// A name is cut so that its temporary's fits where the file's own name fits.
constexpr std::size_t longest_name = 200;
constexpr std::string_view suffix = ".tmp";

// NAME.PID-COUNT.tmp: unique among the processes and threads of this machine; O_EXCL settles the rest.
fs::path temporary_beside(const fs::path& path) {
  static std::atomic<unsigned> count{0};
  const std::string name = path.filename().string().substr(0, longest_name);
  return path.parent_path() / fmt::format("{}.{}-{}{}", name, ::getpid(), count++, suffix);
}

bool digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// The process that a temporary's name names, if it is one of a file whose name begins with `prefix`.
std::optional<pid_t> maker_of(std::string_view name, std::string_view prefix) {
  if (!name.starts_with(prefix) || !name.ends_with(suffix)) return {};
  name.remove_suffix(suffix.size());
  const std::size_t dot = name.rfind('.'), dash = name.rfind('-');
  if (dot == name.npos || dash == name.npos || dash < dot || dot + 1 < prefix.size()) return {};
  const std::string_view pid = name.substr(dot + 1, dash - dot - 1);
  pid_t maker = 0;
  if (!digits(pid) || !digits(name.substr(dash + 1))) return {};
  const auto [end, error] = std::from_chars(pid.data(), pid.data() + pid.size(), maker);
  if (error != std::errc() || maker <= 0) return {};
  return maker;
}

// Whoever writes a temporary holds its lock until it has its final name, and the system lets go of the lock of a
// process that ends: so a lock that is free means that nobody will finish the file, whatever process has its number
// now. Where there are no locks the number has to do.
bool remove_if_stale(const fs::path& path, pid_t maker) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return false;
  const bool locked = ::flock(fd, LOCK_EX | LOCK_NB) == 0;
  const bool stale = locked || (errno != EWOULDBLOCK && ::kill(maker, 0) != 0 && errno == ESRCH);
  const bool removed = stale && ::unlink(path.c_str()) == 0;  // before the lock is let go, see AtomicFile::create
  ::close(fd);
  return removed;
}

// Not to be able to make a rename durable is no failure of a file system that has nothing to offer for it.
bool cannot_sync(int error) { return error == EINVAL || error == ENOTSUP || error == EROFS || error == ENOSYS; }

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
  try {
    create(mode);
  } catch (...) {
    discard();
    throw;
  }
}

void AtomicFile::create(mode_t mode) {
  // Opened first, so that a lack of descriptors is met before anything is there. A folder that may be written but not
  // read (EACCES) is left unsynced.
  const fs::path folder = path_.has_parent_path() ? path_.parent_path() : fs::path(".");
  folder_ = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder_ < 0 && errno != EACCES) fail(errno);
  for (bool ours = false; !ours;) {
    fs::path name = temporary_beside(path_);
    fd_ = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd_ < 0 && (errno == EEXIST || errno == EINTR)) continue;
    if (fd_ < 0) fail(errno);
    temporary_ = std::move(name);
    // The lock says that somebody works on the file; its own descriptor keeps it until the file has its final name.
    while (::flock(fd_, LOCK_EX) != 0 && errno == EINTR) {
    }
    lock_ = ::fcntl(fd_, F_DUPFD_CLOEXEC, 0);
    if (lock_ < 0) fail(errno);
    // A sweep may have come between open and flock; then the name is gone, and the next one is tried.
    struct stat now {};
    if (::fstat(fd_, &now) != 0) fail(errno);
    ours = now.st_nlink > 0;
    if (!ours) close_all();
  }
  // As readable as the file that is replaced; where that is not allowed, as any new file.
  if (mode != 0) std::ignore = ::fchmod(fd_, mode);
}

void AtomicFile::close_all() {
  for (int* fd : {&fd_, &lock_})
    if (*fd >= 0) ::close(std::exchange(*fd, -1));
}

void AtomicFile::discard() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
  close_all();
  if (folder_ >= 0) ::close(std::exchange(folder_, -1));
}

AtomicFile::~AtomicFile() { discard(); }

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

std::uint32_t AtomicFile::sum() const {
  return static_cast<std::uint32_t>(::crc32_z(flushed_sum_, reinterpret_cast<const Bytef*>(buffer_.get()), used_));
}

void AtomicFile::flush() {
  if (keeps_sum_) flushed_sum_ = sum();
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
  close_all();
  sync_folder();
}

// Makes the rename itself last through a power cut.
void AtomicFile::sync_folder() {
  if (folder_ < 0) return;
  while (::fsync(folder_) != 0) {
    if (errno == EINTR) continue;
    if (cannot_sync(errno)) return;
    throw IoError(fmt::format("{} {} was written, but its folder could not be flushed to the disk: {}", where_,
                              path_.string(), reason(errno)));
  }
}

std::size_t sweep_temporaries(const fs::path& folder, std::string_view name) {
  std::size_t removed = 0;
  const std::string prefix(name.substr(0, longest_name));
  int error = 0;
  for (const std::string& there : detail::names_in(folder, error)) {
    const auto maker = maker_of(there, prefix);
    struct stat what {};
    const fs::path path = folder / there;
    if (maker && ::lstat(path.c_str(), &what) == 0 && S_ISREG(what.st_mode)) removed += remove_if_stale(path, *maker);
  }
  return removed;
}

}  // namespace vg
