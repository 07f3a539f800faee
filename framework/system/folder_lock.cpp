#include "voxgrad/framework/system/folder_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/system/atomic_file.hpp"

namespace vg {

namespace fs = std::filesystem;

namespace {

// The owner as recorded in the lock file, for a message.
std::string owner_in(int fd) {
  char text[32];
  const ssize_t n = ::pread(fd, text, sizeof text, 0);
  const std::string pid(text, n > 0 ? static_cast<std::size_t>(n) : 0);
  const std::string digits = pid.substr(0, pid.find_first_not_of("0123456789"));
  if (digits.empty()) return "another process";
  return fmt::format("process {}{}", digits, digits == std::to_string(::getpid()) ? ", this one" : "");
}

}  // namespace

FolderLock::FolderLock(const fs::path& folder) : path_(folder / "run.lock"), owner_(::getpid()) {
  const AtomicFile tried("[CheckpointManager]", path_);
  constexpr int most_tries = 100;
  try {
    sweep_temporaries(folder, path_.filename().string());  // left by a killed process
    for (int left = most_tries; !take(folder); --left)
      if (left == 1) fail(EWOULDBLOCK);
  } catch (...) {
    close();
    throw;
  }
}

FolderLock::~FolderLock() {
  if (owner_ == ::getpid()) ::unlink(path_.c_str());  // before the lock is freed, see take()
  close();
}

// False if the lock file was removed, either by its last owner or here, because it was an unlocked file of another
// user. The caller then tries again with a new file.
bool FolderLock::take(const fs::path& folder) {
  close();
  fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);
  if (fd_ < 0 && errno == EACCES) fd_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd_ < 0 && (errno == EINTR || errno == ENOENT)) return false;
  if (fd_ < 0) fail(errno);
  while (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK)
      throw IoError(
          fmt::format("[CheckpointManager] {} is in use by {}: two runs would mix their checkpoints; give each run a "
                      "folder of its own",
                      folder.string(), owner_in(fd_)));
    if (errno != EINTR) break;  // a file system without locks
  }
  struct stat now {};
  if (::fstat(fd_, &now) != 0) fail(errno);
  if (now.st_nlink == 0) return false;
  if (note_owner()) return true;
  if (errno != EBADF || ::unlink(path_.c_str()) != 0) fail(errno);
  return false;
}

bool FolderLock::note_owner() {
  const std::string text = fmt::format("{}\n", owner_);
  const NoFileSizeSignal failure_only;
  return ::ftruncate(fd_, 0) == 0 && ::pwrite(fd_, text.data(), text.size(), 0) >= 0;
}

void FolderLock::close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

void FolderLock::fail(int error) const {
  throw IoError(
      fmt::format("[CheckpointManager] cannot lock {}: {}", path_.string(), std::generic_category().message(error)));
}

}  // namespace vg
