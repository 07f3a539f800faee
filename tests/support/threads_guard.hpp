// A number of threads for a test.
#pragma once

#include "voxgrad/framework/base/threads.hpp"

namespace vg::test {

/// While it lives, there are n threads; then as many as before.
class ThreadsGuard {
 public:
  explicit ThreadsGuard(int n) { set_num_threads(n); }
  ~ThreadsGuard() { set_num_threads(before_); }
  ThreadsGuard(const ThreadsGuard&) = delete;
  ThreadsGuard& operator=(const ThreadsGuard&) = delete;

 private:
  int before_ = num_threads();
};

}  // namespace vg::test
