// The shortest time of a call, measured as in peers.py and onednn_bench.cpp.
#pragma once

#include <algorithm>
#include <chrono>
#include <limits>

namespace bench {

inline double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// The shortest time in ms: two calls warm up, then at least 3 are timed until `seconds` have passed. before() runs
/// before each call and is not timed.
template <class Call, class Before>
double shortest_ms(double seconds, Call call, Before before) {
  constexpr int fewest = 3, most = 2000;
  constexpr double patience = 5;  // seconds; limits the repetition of long calls
  for (int i = 0; i < 2; ++i) {
    before();
    call();
  }
  double shortest = std::numeric_limits<double>::infinity();
  const double start = seconds_now();
  for (int n = 0; n < most; ++n) {
    before();
    const double begin = seconds_now();
    call();
    const double end = seconds_now();
    shortest = std::min(shortest, end - begin);
    if (n + 1 >= fewest && end - start > seconds) break;
    if (end - start > patience) break;
  }
  return shortest * 1e3;
}

}  // namespace bench
