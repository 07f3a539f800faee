// A lock that gives a folder to one run at a time.
#pragma once

#include <sys/types.h>

#include <filesystem>

namespace vg {

/// Holds `folder` through a locked file in it, run.lock (flock), which contains the owner's process number. The system
/// frees the lock when the process ends for any reason; the destructor removes the file. On a file system without locks
/// it has no effect.
class FolderLock {
 public:
  /// Throws IoError if the folder is locked already, also by this process; the message names the owner. Also throws
  /// IoError if the folder is not writable, which the constructor tests by creating a file.
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  bool take(const std::filesystem::path& folder);
  bool note_owner();
  void close();
  [[noreturn]] void fail(int error) const;

  std::filesystem::path path_;
  pid_t owner_;  ///< a fork()ed child does not remove its parent's file
  int fd_ = -1;
};

}  // namespace vg
