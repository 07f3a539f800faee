// A checkpoint's input: read in chunks, it knows where it is.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

namespace vg::checkpoint {

/// Bytes one after the other, with the place of the last one.
class InputFile {
 public:
  explicit InputFile(const std::filesystem::path& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  /// Whether there is a byte to peek(). Once false it stays false.
  bool more() { return next_ != end_ || refill(); }
  char peek() const { return *next_; }
  void skip() { ++next_; }
  bool at_end() const { return at_end_; }

  /// Of the last byte skipped: its offset from 0, and its line from 1.
  std::int64_t offset() const;
  std::int64_t line() const;

 private:
  static constexpr std::size_t capacity = std::size_t{1} << 18;
  bool refill();

  std::filesystem::path path_;
  std::unique_ptr<char[]> buffer_;  // the last byte of the chunk before, then a chunk
  const char* next_;
  const char* end_;
  std::int64_t before_ = 0;        // bytes in earlier chunks
  std::int64_t lines_before_ = 0;  // newlines before buffer_[0]
  bool at_end_ = false;
  int fd_ = -1;
};

}  // namespace vg::checkpoint
