// The shortest time of a call, as peers.py and onednn_bench.cpp take it.
#pragma once

#include <algorithm>
#include <chrono>
#include <limits>

namespace bench {

inline double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// In ms: two calls to warm up, then at least 3 until `seconds` have passed. before() runs, untimed, before each call.
template <class Call, class Before>
double shortest_ms(double seconds, Call call, Before before) {
  constexpr int fewest = 3, most = 2000;
  constexpr double patience = 5;  // seconds, for calls that take long
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
