// Reads a file through a window that moves forward over it, and tracks the position, the line and the checksum.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "voxgrad/framework/system/regular_file.hpp"

namespace vg::detail {

class InputFile {
 public:
  /// `where` begins the messages: "[checkpoint] load: cannot read". Throws IoError for a path that is missing, cannot
  /// be opened or is no regular file.
  InputFile(std::string_view where, const std::filesystem::path& path);
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  /// The bytes in the window that have not been passed. The byte at end() is zero, so that a scan can stop there.
  const char* begin() const { return next_; }
  const char* end() const { return end_; }
  /// Passes all bytes before `to`, which lies in [begin(), end()].
  void advance(const char* to) { next_ = to; }
  /// Moves the window so that it holds `bytes` bytes (at most 64 KiB), or all that are left. Invalidates pointers into
  /// it.
  void need(std::size_t bytes) {
    if (static_cast<std::size_t>(end_ - next_) < bytes && !at_end_) refill(bytes);
  }
  /// Whether the window reaches the end of the file.
  bool at_end() const { return at_end_; }
  bool more() {
    need(1);
    return next_ != end_;
  }

  /// The offset (from 0) and the line (from 1) of the last byte that was passed.
  std::int64_t offset() const;
  std::int64_t line() const;
  /// The number of bytes from begin() to the end of the file, by its size at opening.
  std::int64_t left() const;
  /// The CRC-32 of all bytes passed so far, without the last `bytes` (at most 16).
  std::uint32_t sum_before(std::size_t bytes) const;

 private:
  static constexpr std::ptrdiff_t passed_kept = 16;  // for sum_before
  static constexpr std::size_t least_capacity = (std::size_t{1} << 16) + passed_kept;
  void make_window();
  void refill(std::size_t bytes);
  [[noreturn]] void fail() const;

  std::string name_;  // the beginning of messages, with the path
  RegularFile file_;
  std::size_t capacity_ = std::size_t{1} << 18;
  std::unique_ptr<char[]> buffer_;
  const char* next_ = nullptr;
  const char* end_ = nullptr;
  const char* summed_ = nullptr;   // bytes before this are in sum_
  std::int64_t before_ = 0;        // bytes before the window
  std::int64_t lines_before_ = 0;  // newlines before the window
  std::uint32_t sum_ = 0;
  bool at_end_ = false;
};

}  // namespace vg::detail
