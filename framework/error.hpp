// The exceptions that voxgrad throws. Each message begins with the op or layer and names the argument, what came
// and what is allowed: "[conv3d] stride: got (0, 1, 1); every entry must be at least 1".
#pragma once

#include <algorithm>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>

namespace vg {

/// A value, shape or size that is not allowed.
struct ValueError : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

/// An argument of the wrong kind: dtype, number of entries, unknown name of a type.
struct TypeError : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

/// A file that is missing, unreadable, truncated or malformed, or that could not be written.
struct IoError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

namespace detail {

/// A std::bad_alloc with a message. It holds the text in itself, because there may be no memory for it elsewhere.
class BadAlloc : public std::bad_alloc {
 public:
  /// Keeps the first 511 characters.
  explicit BadAlloc(std::string_view text) noexcept { text.copy(text_, std::min(text.size(), sizeof text_ - 1)); }
  const char* what() const noexcept override { return text_; }

 private:
  char text_[512] = {};
};

}  // namespace detail

/// Memory that the system does not give. The message names the op, what the memory was for (a tensor's shape), the
/// bytes and what the machine has. Small allocations (std::vector and the like) throw a plain std::bad_alloc.
struct MemoryError : detail::BadAlloc {
  using BadAlloc::BadAlloc;
};

}  // namespace vg
