// Opening files to read. A path may lead to anything: opening a FIFO waits for a writer, a device may do anything when
// it is opened. So every reader opens its file here, and only regular files are opened.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

namespace vg::detail {

/// A regular file, open for reading; closed at the end of this object's life.
class RegularFile {
 public:
  RegularFile() = default;  ///< no file: descriptor() is -1
  /// `where` begins the messages: "[read_npz]". Throws IoError "WHERE PATH: REASON" for a file that is missing, cannot
  /// be opened or is not regular; the reason says what it is ("it is a FIFO or pipe; only regular files are
  /// read").
  RegularFile(std::string_view where, const std::filesystem::path& path);
  ~RegularFile();
  RegularFile(RegularFile&& other) noexcept;
  RegularFile& operator=(RegularFile&& other) noexcept;

  int descriptor() const { return fd_; }
  std::int64_t size() const { return size_; }  ///< bytes, when it was opened
  /// The descriptor, which the caller then closes.
  int release();

 private:
  void close();

  int fd_ = -1;
  std::int64_t size_ = 0;
};

}  // namespace vg::detail
