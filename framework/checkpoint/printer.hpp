// JSON onto an AtomicFile, indented, value by value: no document is ever held.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "framework/atomic_file.hpp"

namespace vg::checkpoint {

/// Buffered output that knows the CRC-32 of all it was given.
class SummedOutput {
 public:
  explicit SummedOutput(AtomicFile& file) : file_(file), buffer_(std::make_unique<char[]>(capacity)) {}

  /// At least `bytes` (at most 16 KiB) to print into; tell the end of what was printed with wrote().
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
  void flush();
  std::uint32_t sum() {
    flush();
    return sum_;
  }

 private:
  static constexpr std::size_t capacity = std::size_t{1} << 16;
  AtomicFile& file_;
  std::unique_ptr<char[]> buffer_;
  std::size_t used_ = 0;
  std::uint32_t sum_ = 0;
};

class Printer {
 public:
  explicit Printer(AtomicFile& out) : out_(out) {}

  /// Keys and values follow until close_object(). Throws ValueError past max_depth.
  void open_object();
  void close_object();
  /// Throws ValueError for a key that this object has already.
  void key(std::string_view name);

  /// {"f64": and } around one value, all on its line.
  void open_tag(std::string_view type);
  void close_tag();

  void text(std::string_view value);  ///< Throws ValueError unless it is UTF-8.
  void boolean(bool value);
  void integer(std::int64_t value);
  void real(double value);  ///< Never looks like an integer.

  /// A list on one line, or, past `per_line` entries, on lines of that many. A fixed number, not a width, so that a
  /// value whose text grows changes its own line only.
  template <class T>
  void list(const T* values, std::int64_t count, std::int64_t per_line);
  /// A text of these bytes in base64.
  void base64(const unsigned char* bytes, std::size_t count);
  void reals(const std::vector<double>& values);
  void texts(const std::vector<std::string>& values);

  /// The key `name` with the CRC-32 of every byte before its quote; close_object() ends the document.
  void sum(std::string_view name);

 private:
  template <class PrintLine>
  void lines(std::int64_t count, std::int64_t per_line, PrintLine&& print_line);
  void begin_key(std::string_view name);
  void line(std::size_t depth);
  std::string where() const;

  struct Level {
    std::string name;
    std::set<std::string, std::less<>> keys;
  };
  SummedOutput out_;
  std::vector<Level> open_;
  std::string key_;
};

}  // namespace vg::checkpoint
