// Threads. Work is cut by shape, never by the number of threads, so results do not depend on it.
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

namespace vg {

/// Threads that ops use: OMP_NUM_THREADS, else the number of cores, until set. 1 in a child after fork() (unless set
/// there), because its parent's threads do not exist in it.
int num_threads();
/// May be called while ops run; each op reads the number once. Throws ValueError unless 1 <= n <= 1024.
void set_num_threads(int n);

/// A reference to a callable `void(int64_t task)`; it must outlive the call.
class TaskRef {
 public:
  template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, TaskRef>) TaskRef(F&& f)  // NOLINT: implicit on purpose
      : object_(const_cast<void*>(static_cast<const void*>(&f))),
        call_([](void* o, std::int64_t i) { (*static_cast<std::remove_reference_t<F>*>(o))(i); }) {}
  void operator()(std::int64_t i) const { call_(object_, i); }

 private:
  void* object_;
  void (*call_)(void*, std::int64_t);
};

/// Runs task(0) ... task(tasks - 1), each once, on up to num_threads() threads: each begins with its own range of them,
/// the same in every call, and then takes over what others have left (a task must write only what no other task
/// touches). Runs in the calling thread when there is one task, one thread or `serial` is true, or when called from
/// within another parallel_for. Where the system cannot start all threads, runs on those that it has started. After an
/// exception of a task no further task begins; the first one is rethrown here.
void parallel_for(std::int64_t tasks, TaskRef task, bool serial = false);

/// Cuts [0, n) into ranges of `grain` (the last may be shorter) and runs body(begin, end) on each.
template <class F>
void parallel_ranges(std::int64_t n, std::int64_t grain, F&& body) {
  const std::int64_t tasks = (n + grain - 1) / grain;
  parallel_for(tasks, [&](std::int64_t i) {
    const std::int64_t begin = i * grain;
    body(begin, begin + grain < n ? begin + grain : n);
  });
}

namespace detail {

/// The calling thread's index in the team of the parallel_for that it works for, and the team's size; size 0 outside.
struct TeamPlace {
  int index = 0;
  int size = 0;
};
TeamPlace team_place();

}  // namespace detail

}  // namespace vg
