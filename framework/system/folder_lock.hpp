// A folder that belongs to one run at a time.
#pragma once

#include <sys/types.h>

#include <filesystem>

namespace vg {

/// Holds `folder` by a locked file in it, run.lock (flock), which says which process that is. The system frees the lock
/// of a process that ends, however it ends; the destructor removes the file. On a file system without locks it holds
/// nobody off.
class FolderLock {
 public:
  /// Throws IoError where the folder is held already, naming the process (of two in one process, too), and where
  /// nothing can be written into the folder: that is tried.
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
