// Sets the number of threads for a test.
#pragma once

#include "voxgrad/framework/base/threads.hpp"

namespace vg::test {

/// Sets n threads while it exists; then restores the old number.
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
