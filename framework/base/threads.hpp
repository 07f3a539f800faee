// Threads. Work is divided by shape, never by the number of threads, so results do not depend on that number.
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

namespace vg {

/// The number of threads that ops use: OMP_NUM_THREADS, else the number of cores, unless set_num_threads was called. It
/// is 1 in a child after fork() (unless set there), because the parent's threads do not exist in the child.
int num_threads();
/// May be called while ops run; each op reads the number once. Throws ValueError unless 1 <= n <= 1024.
void set_num_threads(int n);

/// A reference to a callable `void(int64_t task)`, which must outlive the TaskRef.
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

/// Runs task(0) ... task(tasks - 1), each once, on up to num_threads() threads. Each thread begins with its own range
/// of tasks, the same in every call, and then takes over remaining tasks of the others. A task must not write to memory
/// that another task uses. Runs in the calling thread if there is one task or one thread, if `serial` is true, or
/// within another parallel_for. If the system cannot start all threads, those that it has started do the work. After a
/// task has thrown an exception, no further task begins, and the first exception is rethrown here.
void parallel_for(std::int64_t tasks, TaskRef task, bool serial = false);

/// Divides [0, n) into ranges of `grain` elements (the last may be shorter) and runs body(begin, end) on each.
template <class F>
void parallel_ranges(std::int64_t n, std::int64_t grain, F&& body) {
  const std::int64_t tasks = (n + grain - 1) / grain;
  parallel_for(tasks, [&](std::int64_t i) {
    const std::int64_t begin = i * grain;
    body(begin, begin + grain < n ? begin + grain : n);
  });
}

namespace detail {

/// The calling thread's index in the team whose parallel_for it runs, and the team's size; size 0 outside.
struct TeamPlace {
  int index = 0;
  int size = 0;
};
TeamPlace team_place();

}  // namespace detail

}  // namespace vg
