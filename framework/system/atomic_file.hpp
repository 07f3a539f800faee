// A file that appears complete or not at all: it is written under a temporary name in its folder, then renamed.
#pragma once

#include <sys/types.h>

#include <csignal>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace vg {

/// In this scope, a write of this thread past the limit on file sizes (RLIMIT_FSIZE) only fails with EFBIG: the signal
/// SIGXFSZ, which ends the process by default, is blocked and then consumed.
class NoFileSizeSignal {
 public:
  NoFileSizeSignal();
  ~NoFileSizeSignal();
  NoFileSizeSignal(const NoFileSizeSignal&) = delete;
  NoFileSizeSignal& operator=(const NoFileSizeSignal&) = delete;

 private:
  sigset_t before_{};
};

/// Buffered output to a temporary file in the folder of `path`; commit() renames it to `path`. The destructor removes
/// the temporary if there was no commit(). Other users cannot read the temporary. Every failure is an IoError that
/// names `path` and the system's reason.
class AtomicFile {
 public:
  /// `where` begins the messages: "[write_nifti]". A symbolic link is followed, except another user's link in a sticky
  /// folder (/tmp). The new file has the permissions of the file that it replaces if that file is this user's, else
  /// those of any new file.
  AtomicFile(std::string where, const std::filesystem::path& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Buffer space for at least `bytes` bytes (at most 64 KiB). After printing into it, pass the end of the text to
  /// wrote().
  char* room(std::size_t bytes) {
    if (used_ + bytes > capacity) flush();
    return buffer_.get() + used_;
  }
  void wrote(const char* end) { used_ = static_cast<std::size_t>(end - buffer_.get()); }
  void put(std::string_view text);
  void put(char c) {
    char* to = room(1);
    *to = c;
    wrote(to + 1);
  }
  /// After a call before the first byte, sum() is the CRC-32 of all bytes so far.
  void keep_sum() { keeps_sum_ = true; }
  std::uint32_t sum() const;
  /// For writers with their own buffer (zlib), in a NoFileSizeSignal scope. This object's own buffer must be empty.
  /// This object owns the descriptor.
  int descriptor() const { return fd_; }
  /// Throws the IoError for a write through descriptor() that failed with `error` (errno).
  [[noreturn]] void fail(int error) const;
  /// Flushes to the disk, renames, and flushes the folder. Throws IoError. If only flushing the folder failed (the
  /// message says so), the new file is in place and complete, but a power cut may bring the old one back.
  void commit();

 private:
  static constexpr std::size_t capacity = std::size_t{1} << 18;
  void create();
  void open_temporary(mode_t mode);
  void remove_temporary();
  bool lock_temporary();
  void flush();
  void close_all();
  void discard();
  void sync_folder();

  std::string where_;
  std::filesystem::path path_, temporary_;
  std::unique_ptr<char[]> buffer_;
  std::size_t used_ = 0;
  std::optional<mode_t> mode_;  ///< the final mode of the file
  bool keeps_sum_ = false;
  std::uint32_t flushed_sum_ = 0;  ///< the CRC-32 of the bytes that are already in the file
  int fd_ = -1;
  int lock_ = -1;    ///< a copy of fd_, which keeps the lock while the temporary is being written
  int folder_ = -1;  ///< the folder of path_; -1 if it may not be read
};

/// Removes the temporaries that killed processes left in `folder` for files whose names begin with `name`, and returns
/// their number. Temporaries that a living process is writing, this one included, are locked and stay. Files that
/// cannot be read or removed stay, without an exception.
std::size_t sweep_temporaries(const std::filesystem::path& folder, std::string_view name = {});

}  // namespace vg
