// A file that appears whole or not at all: written beside its place under another name, then renamed.
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

/// For a scope, a write of this thread past the limit on the size of files (RLIMIT_FSIZE) only fails with EFBIG: the
/// signal that comes with it, SIGXFSZ, is blocked and then consumed. By default it ends the process.
class NoFileSizeSignal {
 public:
  NoFileSizeSignal();
  ~NoFileSizeSignal();
  NoFileSizeSignal(const NoFileSizeSignal&) = delete;
  NoFileSizeSignal& operator=(const NoFileSizeSignal&) = delete;

 private:
  sigset_t before_{};
};

/// Buffered output to a temporary file beside `path`; commit() puts it in the place of `path`. Destroyed before that,
/// it removes the temporary, which nobody else can read. Every failure is an IoError that names `path` and the system's
/// reason.
class AtomicFile {
 public:
  /// `where` begins the messages: "[write_nifti]". A symbolic link is written through, but not another user's link in a
  /// sticky folder (/tmp). The file will have the permissions of the one that it replaces where that is this user's,
  /// else those of any new file.
  AtomicFile(std::string where, const std::filesystem::path& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// At least `bytes` (at most 64 KiB) of buffer to print into; tell the end of what was printed with wrote().
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
  /// Called before the first byte, sum() is the CRC-32 of all bytes so far.
  void keep_sum() { keeps_sum_ = true; }
  std::uint32_t sum() const;
  /// For writers with a buffer of their own (zlib), in a NoFileSizeSignal scope; nothing may be waiting in this one.
  /// Owned by this object.
  int descriptor() const { return fd_; }
  /// Throws IoError for a write through descriptor() that failed with `error` (errno).
  [[noreturn]] void fail(int error) const;
  /// Flushes to the disk, renames, and flushes the folder. Throws IoError; only where flushing the folder failed
  /// (the message says so) is the new file in place, whole, though a power cut may bring the old one back.
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
  std::optional<mode_t> mode_;  ///< of the file when it is whole
  bool keeps_sum_ = false;
  std::uint32_t flushed_sum_ = 0;  ///< of what is in the file already
  int fd_ = -1;
  int lock_ = -1;    ///< the same open file: holds the lock that says that the temporary is being written
  int folder_ = -1;  ///< of path_; -1 where it may not be read
};

/// Removes the temporaries that killed processes left in `folder`, of files whose names begin with `name`, and gives
/// their number. Those that a living process, this one included, is writing are locked and stay. Never throws for the
/// file system: what cannot be read or removed stays.
std::size_t sweep_temporaries(const std::filesystem::path& folder, std::string_view name = {});

}  // namespace vg
