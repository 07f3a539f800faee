// What the update loops share: a gradient is clipped and decayed in the same pass that uses it.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "framework/threads.hpp"

namespace vg::detail {

/// Elements of a leaf that one task updates: about 0.25 MB of each array; smaller leaves run in the calling thread.
inline constexpr std::int64_t update_grain = 65536;

/// clip(g * scale, -limit, limit) + l2 * p; scale 1, limit infinity and l2 0 leave g as it is.
template <class T>
struct Prepare {
  T scale = 1;
  T limit = std::numeric_limits<T>::infinity();
  T l2 = 0;

  T operator()(T g, T p) const {
    g *= scale;
    g = g < -limit ? -limit : g;  // written so that NaN passes
    g = g > limit ? limit : g;
    return g + l2 * p;
  }
};

}  // namespace vg::detail
