#include "voxgrad/framework/system/atomic_file.hpp"

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

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/system/list_directory.hpp"

namespace vg {

namespace fs = std::filesystem;

namespace {

std::string reason(int error) { return std::generic_category().message(error); }

fs::path folder_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

// Whether `path` resolves through another user's link in a sticky folder, where all users may create files: an attack.
bool over_a_strange_link(fs::path path) {
  constexpr int most_links = 40;  // as in Linux
  for (int left = most_links; left > 0; --left) {
    struct stat link {
    }, folder{};
    if (::lstat(path.c_str(), &link) != 0 || !S_ISLNK(link.st_mode)) return false;
    const fs::path in = folder_of(path);
    if (link.st_uid != ::geteuid() && ::stat(in.c_str(), &folder) == 0 && (folder.st_mode & S_ISVTX) != 0) return true;
    std::error_code error;
    path = in / fs::read_symlink(path, error);
    if (error) return false;
  }
  return false;
}

// A symbolic link is followed: the file that it points to is replaced, not the link.
fs::path target_of(const std::string& where, const fs::path& path) {
  std::error_code ignored;
  if (!fs::is_symlink(path, ignored)) return path;
  if (over_a_strange_link(path))
    throw IoError(
        fmt::format("{} cannot write {}: it is a link of another user in a sticky folder", where, path.string()));
  fs::path target = fs::canonical(path, ignored);
  return ignored ? path : target;
}

// Names are cut to this length, so that a temporary's name is valid wherever the file's own name is.
constexpr std::size_t longest_name = 200;
constexpr std::string_view suffix = ".tmp";

// NAME.PID-COUNT.tmp is unique among the processes and threads of this machine; O_EXCL handles other collisions.
fs::path temporary_beside(const fs::path& path) {
  static std::atomic<unsigned> count{0};
  const std::string name = path.filename().string().substr(0, longest_name);
  return path.parent_path() / fmt::format("{}.{}-{}{}", name, ::getpid(), count++, suffix);
}

bool digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// The process whose number a temporary's name contains, if the name belongs to a file whose name begins with `prefix`.
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

// A process that writes a temporary holds its lock until the file has its final name, and the system frees the lock
// when the process ends. So a free lock means that no process will finish the file, even if a process with that number
// exists now. On a file system without locks, the process number decides.
bool remove_if_stale(const fs::path& path, pid_t maker) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return false;
  const bool locked = ::flock(fd, LOCK_EX | LOCK_NB) == 0;
  const bool stale = locked || (errno != EWOULDBLOCK && ::kill(maker, 0) != 0 && errno == ESRCH);
  const bool removed = stale && ::unlink(path.c_str()) == 0;  // before the lock is freed, see AtomicFile::create
  ::close(fd);
  return removed;
}

// Some file systems cannot make a rename durable. These errors then do not count as a failure.
bool cannot_sync(int error) { return error == EINVAL || error == ENOTSUP || error == EROFS || error == ENOSYS; }

}  // namespace

NoFileSizeSignal::NoFileSizeSignal() {
  sigset_t signal;
  ::sigemptyset(&signal);
  ::sigaddset(&signal, SIGXFSZ);
  ::pthread_sigmask(SIG_BLOCK, &signal, &before_);
}

NoFileSizeSignal::~NoFileSizeSignal() {
  if (::sigismember(&before_, SIGXFSZ) == 1) return;  // a pending signal then belongs to the code that blocked it
  const int error = errno;
  sigset_t signal;
  ::sigemptyset(&signal);
  ::sigaddset(&signal, SIGXFSZ);
  const timespec at_once{};
  while (::sigtimedwait(&signal, nullptr, &at_once) < 0 && errno == EINTR) {
  }
  ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  errno = error;
}

AtomicFile::AtomicFile(std::string where, const fs::path& path)
    : where_(std::move(where)), path_(target_of(where_, path)), buffer_(std::make_unique<char[]>(capacity)) {
  struct stat old {};
  if (::stat(path_.c_str(), &old) == 0) {
    // A rename would replace a device or a pipe by a plain file.
    if (!S_ISREG(old.st_mode))
      throw IoError(fmt::format("{} cannot write {}: it is {}", where_, path_.string(),
                                S_ISDIR(old.st_mode) ? "a folder" : "not a regular file"));
    if (old.st_uid == ::geteuid()) mode_ = old.st_mode & 0777;
  }
  try {
    create();
  } catch (...) {
    discard();
    throw;
  }
}

void AtomicFile::create() {
  // The folder is opened first, so that a lack of descriptors is noticed before any file is created. A folder that may
  // be written but not read (EACCES) is not synced.
  folder_ = ::open(folder_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder_ < 0 && errno != EACCES) fail(errno);
  // The mode of a new file depends on umask and on the folder's default ACL, which only the system can apply. An empty
  // file is created to find out the mode.
  if (!mode_) {
    open_temporary(0666);
    struct stat made {};
    if (::fstat(fd_, &made) != 0) fail(errno);
    mode_ = made.st_mode & 0777;
    remove_temporary();
  }
  // The content is written to a file that no other user can open until it is complete.
  constexpr int most_tries = 100;
  for (int left = most_tries;; --left) {
    open_temporary(0600);
    if (lock_temporary()) return;
    if (left == 1) fail(EWOULDBLOCK);
    remove_temporary();
  }
}

void AtomicFile::open_temporary(mode_t mode) {
  while (fd_ < 0) {
    fs::path name = temporary_beside(path_);
    fd_ = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd_ < 0 && errno != EEXIST && errno != EINTR) fail(errno);
    if (fd_ >= 0) temporary_ = std::move(name);
  }
}

void AtomicFile::remove_temporary() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
  temporary_.clear();
  close_all();
}

// The lock shows that a process is writing the file; its own descriptor keeps it until the file has its final name.
// False if a sweep between open and flock took the file: it holds the lock or has removed the name.
bool AtomicFile::lock_temporary() {
  while (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return false;
    if (errno != EINTR) break;  // a file system without locks
  }
  lock_ = ::fcntl(fd_, F_DUPFD_CLOEXEC, 0);
  if (lock_ < 0) fail(errno);
  struct stat now {};
  if (::fstat(fd_, &now) != 0) fail(errno);
  return now.st_nlink > 0;
}

void AtomicFile::close_all() {
  for (int* fd : {&fd_, &lock_})
    if (*fd >= 0) ::close(std::exchange(*fd, -1));
}

void AtomicFile::discard() {
  remove_temporary();
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
  const NoFileSizeSignal failure_only;
  while (from != end) {
    const ssize_t n = ::write(fd_, from, static_cast<std::size_t>(end - from));
    if (n < 0 && errno != EINTR) fail(errno);
    if (n > 0) from += n;
  }
  used_ = 0;
}

void AtomicFile::commit() {
  flush();
  std::ignore = ::fchmod(fd_, *mode_);  // if that fails, the file stays readable by this user only
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

// Flushes the folder, so that the rename survives a power cut.
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
  for (const std::string& there : detail::list_directory(folder, error)) {
    const auto maker = maker_of(there, prefix);
    struct stat what {};
    const fs::path path = folder / there;
    if (maker && ::lstat(path.c_str(), &what) == 0 && S_ISREG(what.st_mode)) removed += remove_if_stale(path, *maker);
  }
  return removed;
}

}  // namespace vg
