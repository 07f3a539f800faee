// Opens files for reading. A path may lead to any kind of file: opening a FIFO blocks until there is a writer, and
// opening a device may have any effect. So every reader opens its file here, and only regular files are opened.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

namespace vg::detail {

/// A regular file, open for reading. The destructor closes it.
class RegularFile {
 public:
  RegularFile() = default;  ///< no file: descriptor() is -1
  /// `where` begins the messages: "[read_npz]". Throws IoError "WHERE PATH: REASON" for a file that is missing, cannot
  /// be opened or is not regular; the reason then names its kind ("it is a FIFO or pipe, not a regular file; only
  /// regular files are read").
  RegularFile(std::string_view where, const std::filesystem::path& path);
  ~RegularFile();
  RegularFile(RegularFile&& other) noexcept;
  RegularFile& operator=(RegularFile&& other) noexcept;

  int descriptor() const { return fd_; }
  std::int64_t size() const { return size_; }  ///< its size in bytes when it was opened
  /// Returns the descriptor, which the caller must then close.
  int release();

 private:
  void close();

  int fd_ = -1;
  std::int64_t size_ = 0;
};

}  // namespace vg::detail
