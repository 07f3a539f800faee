// The three exceptions that voxgrad throws. Each message begins with the op or layer and names the argument, what came
// and what is allowed: "[conv3d] stride: got (0, 1, 1); every entry must be at least 1".
#pragma once

#include <stdexcept>
#include <string>

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

}  // namespace vg
