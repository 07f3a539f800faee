// Prints indented JSON to an AtomicFile value by value; no document is kept in memory.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "voxgrad/framework/system/atomic_file.hpp"

namespace vg::checkpoint {

class Printer {
 public:
  /// `out` must be empty.
  explicit Printer(AtomicFile& out) : out_(out) { out_.keep_sum(); }

  /// Keys and values follow until close_object(). Throws ValueError if the nesting exceeds max_depth.
  void open_object();
  void close_object();
  /// Throws ValueError for a key that this object already has.
  void key(std::string_view name);

  /// Print {"f64": and } around one value, on the value's line.
  void open_tag(std::string_view type);
  void close_tag();

  void text(std::string_view value);  ///< Throws ValueError unless it is UTF-8.
  void boolean(bool value);
  void integer(std::int64_t value);
  void real(double value);  ///< Never looks like an integer.

  /// Prints a list on one line, or on lines of `per_line` entries if it has more. The number per line is fixed, so that
  /// a value whose text grows changes only its own line.
  template <class T>
  void list(const T* values, std::int64_t count, std::int64_t per_line);
  /// Prints a string of these bytes in base64.
  void base64(const unsigned char* bytes, std::size_t count);
  void reals(const std::vector<double>& values);
  void texts(const std::vector<std::string>& values);

  /// Prints the key `name` with the CRC-32 of every byte before the key's quote; close_object() then ends the document.
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
  AtomicFile& out_;
  std::vector<Level> open_;
  std::string key_;
};

}  // namespace vg::checkpoint
