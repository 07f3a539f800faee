// The message of an exception.
#pragma once

#include <string>

#include "voxgrad/framework/base/error.hpp"

namespace vg::test {

/// The message of the E that f throws; other exceptions pass through.
template <class E = vg::ValueError, class F>
std::string message_of(F&& f) {
  try {
    f();
  } catch (const E& e) {
    return e.what();
  }
  return "nothing was thrown";
}

}  // namespace vg::test
