// A checkpoint's input: a window on the file that moves forward, and knows where it is and what it has passed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "voxgrad/framework/system/regular_file.hpp"

namespace vg::checkpoint {

class InputFile {
 public:
  /// Throws IoError for a path that is missing, cannot be opened or is no regular file.
  explicit InputFile(const std::filesystem::path& path);
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  /// The bytes in the window that have not been passed; a zero stands at end(), so that a scan may stop there.
  const char* begin() const { return next_; }
  const char* end() const { return end_; }
  /// Passes all bytes before `to`, which lies in [begin(), end()].
  void advance(const char* to) { next_ = to; }
  /// Moves the window so that it has `bytes` (at most 64 KiB), or all that is left. Pointers into it are then void.
  void need(std::size_t bytes) {
    if (static_cast<std::size_t>(end_ - next_) < bytes && !at_end_) refill(bytes);
  }
  /// Whether the window reaches the end of the file.
  bool at_end() const { return at_end_; }
  bool more() {
    need(1);
    return next_ != end_;
  }

  /// Of the last byte that was passed: its offset from 0, and its line from 1.
  std::int64_t offset() const;
  std::int64_t line() const;
  /// Bytes from begin() to the end of the file, by the size that it had when it was opened.
  std::int64_t left() const;
  /// Remembers the CRC-32 of all that was passed.
  void mark();
  std::uint32_t marked() const { return marked_; }

 private:
  static constexpr std::size_t least_capacity = std::size_t{1} << 16;
  void make_window();
  void refill(std::size_t bytes);
  void sum();
  [[noreturn]] void fail() const;

  std::filesystem::path path_;
  detail::RegularFile file_;
  std::size_t capacity_ = std::size_t{1} << 18;
  std::unique_ptr<char[]> buffer_;
  const char* next_ = nullptr;
  const char* end_ = nullptr;
  const char* summed_ = nullptr;   // bytes before this are in sum_
  std::int64_t before_ = 0;        // bytes before the window
  std::int64_t lines_before_ = 0;  // newlines there
  std::uint32_t sum_ = 0, marked_ = 0;
  bool at_end_ = false;
};

}  // namespace vg::checkpoint
