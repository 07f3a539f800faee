// What an exception says.
#pragma once

#include <string>

#include "voxgrad/framework/base/error.hpp"

namespace vg::test {

/// The message of the E that f throws; other exceptions pass.
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
