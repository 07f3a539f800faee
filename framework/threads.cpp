#include "framework/threads.hpp"

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <string>
#include <vector>

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

namespace {

// A thread's share of the tasks: a range, on a cache line of its own.
struct alignas(64) Share {
  std::atomic<std::int64_t> next;
  std::int64_t end;
};

// Does the share `first`, then what others have left of theirs.
template <class Run>
void work(std::vector<Share>& shares, std::size_t first, const Run& run) {
  for (std::size_t i = 0; i < shares.size(); ++i) {
    Share& share = shares[(first + i) % shares.size()];
    for (std::int64_t task = share.next++; task < share.end; task = share.next++) run(task);
  }
}

}  // namespace

// A thread begins with the same part of the tasks each time, so that it finds what it wrote in the op before in its own
// cache: between cores that share none, a line takes six times longer (benchmarks/README.md).
void parallel_for(std::int64_t tasks, TaskRef task, bool serial) {
  const auto threads = static_cast<int>(std::min<std::int64_t>(tasks, num_threads()));
  if (serial || threads <= 1 || omp_in_parallel()) {
    for (std::int64_t i = 0; i < tasks; ++i) task(i);
    return;
  }
  std::vector<Share> shares(threads);
  for (std::int64_t t = 0; t < threads; ++t) {
    shares[t].next = tasks * t / threads;
    shares[t].end = tasks * (t + 1) / threads;
  }
  std::exception_ptr error;
  const auto run = [&](std::int64_t i) {
    try {
      task(i);
    } catch (...) {
#pragma omp critical(voxgrad_parallel_for_error)
      if (!error) error = std::current_exception();
    }
  };
#pragma omp parallel num_threads(threads)
  work(shares, omp_get_thread_num(), run);
  if (error) std::rethrow_exception(error);
}

}  // namespace vg
