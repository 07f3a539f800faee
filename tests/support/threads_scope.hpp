// A number of threads for a test.
#pragma once

#include "voxgrad/framework/base/threads.hpp"

namespace vg::test {

/// While it lives, there are n threads; then as many as before.
class ThreadsScope {
 public:
  explicit ThreadsScope(int n) { set_num_threads(n); }
  ~ThreadsScope() { set_num_threads(before_); }
  ThreadsScope(const ThreadsScope&) = delete;
  ThreadsScope& operator=(const ThreadsScope&) = delete;

 private:
  int before_ = num_threads();
};

}  // namespace vg::test
