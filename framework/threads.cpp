#include "framework/threads.hpp"

#include <omp.h>

#include <algorithm>
#include <exception>
#include <string>

#include "framework/error.hpp"

namespace vg {

namespace {
int& thread_count() {
  static int count = std::max(1, omp_get_max_threads());
  return count;
}
}  // namespace

int num_threads() { return thread_count(); }

void set_num_threads(int n) {
  if (n < 1 || n > 1024) throw ValueError("[set_num_threads] n: got " + std::to_string(n) + "; must be in [1, 1024]");
  thread_count() = n;
}

void parallel_for(std::int64_t tasks, TaskRef task, bool serial) {
  const int threads = static_cast<int>(std::min<std::int64_t>(tasks, num_threads()));
  if (serial || threads <= 1 || omp_in_parallel()) {
    for (std::int64_t i = 0; i < tasks; ++i) task(i);
    return;
  }
  std::exception_ptr error;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
  for (std::int64_t i = 0; i < tasks; ++i) {
    try {
      task(i);
    } catch (...) {
#pragma omp critical(voxgrad_parallel_for_error)
      if (!error) error = std::current_exception();
    }
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace vg
