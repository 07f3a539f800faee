// The exceptions that voxgrad throws: each is a vg::Error and the standard exception that fits. A message begins with
// the op or layer and names the argument, the value received and the values allowed: "[conv3d] stride: got (0, 1, 1);
// every entry must be at least 1". An exception thrown within a module's call also says where in the net, in front:
// "in layers.6 (Conv3d): [conv3d] stride: ...".
#pragma once

#include <algorithm>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>

namespace vg {

class Module;

/// The base of all exceptions of voxgrad, to catch any of them: `catch (const vg::Error& e)`. It holds the place in the
/// net where the exception was thrown. Module adds the place to the message while the exception passes through the
/// calls, so the exception keeps its type.
class Error {
 public:
  virtual const char* what() const noexcept = 0;
  /// For a message that names its place already: Module leaves it as it is.
  void keep_message() noexcept { keeps_ = true; }

 protected:
  Error() = default;
  Error(const Error&) = default;
  Error& operator=(const Error&) = default;
  virtual ~Error() = default;
  /// The message with the place in front, `plain` while there is none.
  const char* message(const char* plain) const noexcept { return place_ ? place_->text.c_str() : plain; }

 private:
  friend class vg::Module;
  struct Place {
    const void* module = nullptr;  // the innermost module that its caller's visit() names
    std::string kind, plain, text;
  };
  std::shared_ptr<const Place> place_;  // shared, so that copying an exception cannot throw
  bool keeps_ = false;
};

namespace detail {

/// A standard exception that is a vg::Error too.
template <class Standard>
class Located : public Standard, public Error {
 public:
  using Standard::Standard;
  const char* what() const noexcept override { return message(Standard::what()); }
};

}  // namespace detail

/// A value, shape or size that is not allowed.
struct ValueError : detail::Located<std::invalid_argument> {
  using Located::Located;
};

/// An argument of the wrong kind: its dtype, its number of entries, or an unknown type name.
struct TypeError : detail::Located<std::invalid_argument> {
  using Located::Located;
};

/// A file that is missing, unreadable, truncated or malformed, or that could not be written.
struct IoError : detail::Located<std::runtime_error> {
  using Located::Located;
};

namespace detail {

/// A std::bad_alloc with a message. It stores the text in itself, because there may be no other memory for it.
class BadAlloc : public std::bad_alloc {
 public:
  /// Keeps the first 511 characters.
  explicit BadAlloc(std::string_view text) noexcept { text.copy(text_, std::min(text.size(), sizeof text_ - 1)); }
  const char* what() const noexcept override { return text_; }

 private:
  char text_[512] = {};
};

}  // namespace detail

/// The system has no memory left. The message names the op, the purpose of the memory (a tensor's shape), the bytes,
/// and the machine's memory. Small allocations, for example by std::vector, throw a plain std::bad_alloc.
struct MemoryError : detail::Located<detail::BadAlloc> {
  using Located::Located;
};

}  // namespace vg
