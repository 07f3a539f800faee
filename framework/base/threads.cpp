#include "voxgrad/framework/base/threads.hpp"

#include <omp.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/op_guard.hpp"

namespace vg {

namespace {

// The default number of threads comes from OpenMP: OMP_NUM_THREADS, or the cores that the process may use.
std::atomic<int>& thread_count() {
  static std::atomic<int> count{std::clamp(omp_get_max_threads(), 1, 1024)};
  return count;
}

// The number of fork() calls since a team first existed that led to this process.
std::atomic<int> forks{0};

void in_child() {
  ++forks;
  thread_count() = 1;
}

thread_local detail::TeamPlace place;

using Clock = std::chrono::steady_clock;

// How long a thread polls for the next region before it sleeps. Waking a sleeping thread takes about 50 us, and the
// serial work between two regions of a training step is mostly shorter than the polling time.
Clock::duration poll_time(int threads) {
  static const bool passive = [] {
    const char* policy = std::getenv("OMP_WAIT_POLICY");
    return policy != nullptr && (std::string_view(policy) == "passive" || std::string_view(policy) == "PASSIVE");
  }();
  static const int cores = omp_get_num_procs();
  return passive || threads > cores ? Clock::duration::zero() : std::chrono::milliseconds(1);
}

void pause() {
#ifdef __x86_64__
  __builtin_ia32_pause();
#endif
}

// Returns when `word` is no longer `old`. It polls with pauses, which leave a core's execution units to its other
// hardware thread, and then sleeps. It does not yield the core in between: when other programs compute, it would get
// the core back after milliseconds, 1,000 times the length of a small region.
void await_change(const std::atomic<unsigned>& word, unsigned old, Clock::duration polls) {
  const auto changed = [&] { return word.load(std::memory_order_acquire) != old; };
  if (polls > Clock::duration::zero()) {
    const auto end = Clock::now() + polls;
    do {
      for (int i = 0; i < 100; ++i, pause())
        if (changed()) return;
    } while (Clock::now() < end);
  }
  while (!changed()) word.wait(old, std::memory_order_acquire);
}

// A thread's share of the tasks: a range, in its own cache line.
struct alignas(64) Share {
  std::atomic<std::int64_t> next;
  std::int64_t end;
};

// The work of one region.
struct Job {
  TaskRef task;
  int threads;
  Clock::duration polls;
  std::string_view op;  // to which the region belongs, for messages
  std::atomic<bool> failed{false};
  std::exception_ptr error{};  // the first exception, written by the thread that has set `failed`
};

// The threads that run the regions of one thread. They are started when a region first needs them, kept until that
// thread ends, and sleep between regions. OpenMP's team is not used, because libgomp ends the process when memory or
// threads run out, restarts its threads whenever regions differ in size, and never returns in a child after fork().
class Team {
 public:
  Team() = default;
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;
  ~Team() {
    if (forks != forks_) abandon();
    job_ = nullptr;
    for (auto& w : workers_) w->begin();
    for (auto& w : workers_) pthread_join(w->thread, nullptr);
  }

  /// Starts threads until the team has this many, including the caller, or the system refuses; returns their number.
  int grow(int wanted) noexcept {
    if (forks != forks_) abandon();
    try {
      static const int handlers = pthread_atfork(nullptr, nullptr, in_child);
      if (handlers != 0) return 1;
      if (static_cast<std::size_t>(wanted) > capacity_) reserve(static_cast<std::size_t>(wanted));
      while (size() < wanted) {
        auto worker = std::make_unique<Worker>(*this, size());
        if (pthread_create(&worker->thread, nullptr, serve, worker.get()) != 0) break;
        workers_.push_back(std::move(worker));  // cannot throw: reserved above
      }
    } catch (const std::bad_alloc&) {  // continue with fewer threads
    }
    return std::min(wanted, size());
  }

  /// Runs tasks 0 ... tasks - 1 on `job.threads` threads, which must not exceed the last result of grow().
  void run(Job& job, std::int64_t tasks) {
    for (int t = 0; t < job.threads; ++t) {
      shares_[t].next.store(tasks * t / job.threads, std::memory_order_relaxed);
      shares_[t].end = tasks * (t + 1) / job.threads;
    }
    job_ = &job;
    left_.store(static_cast<unsigned>(job.threads), std::memory_order_relaxed);
    for (int t = 1; t < job.threads; ++t) workers_[t - 1]->begin();
    work(0);
    for (unsigned left = finish(); left != 0; left = left_.load(std::memory_order_acquire))
      await_change(left_, left, job.polls);
    if (job.error) std::rethrow_exception(job.error);
  }

 private:
  struct alignas(64) Worker {
    Worker(Team& t, int i) : team(t), index(i) {}
    void begin() {
      turn.fetch_add(1, std::memory_order_release);
      turn.notify_one();
    }
    Team& team;
    const int index;
    std::atomic<unsigned> turn{0};
    pthread_t thread{};
  };

  int size() const { return 1 + static_cast<int>(workers_.size()); }

  void reserve(std::size_t threads) {
    shares_ = std::make_unique<Share[]>(threads);
    workers_.reserve(threads);
    capacity_ = threads;
  }

  // In a child after fork(), the threads do not exist and libc may reuse their stacks.
  void abandon() {
    workers_.clear();
    forks_ = forks;
  }

  static void* serve(void* worker) {
    Worker& w = *static_cast<Worker*>(worker);
    Clock::duration polls{};
    for (unsigned turn = 0;; ++turn) {
      await_change(w.turn, turn, polls);
      if (w.team.job_ == nullptr) return nullptr;
      polls = w.team.job_->polls;
      w.team.work(w.index);
      w.team.finish();
    }
  }

  // Runs the tasks of the share `index`, then the remaining tasks of the other shares.
  void work(int index) noexcept {
    Job& job = *job_;
    place = {index, job.threads};
    const OpGuard scope(job.op);
    try {
      for (int i = 0; i < job.threads; ++i) {
        Share& share = shares_[(index + i) % job.threads];
        for (std::int64_t task = share.next++; task < share.end; task = share.next++) {
          if (job.failed.load(std::memory_order_relaxed)) break;
          job.task(task);
        }
      }
    } catch (...) {
      if (!job.failed.exchange(true)) job.error = std::current_exception();
    }
    place = {};
  }

  // Records that a thread has finished the region; returns how many threads have not.
  unsigned finish() {
    const unsigned left = left_.fetch_sub(1, std::memory_order_acq_rel) - 1;
    if (left == 0) left_.notify_one();
    return left;
  }

  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<Share[]> shares_;
  std::size_t capacity_ = 0;
  Job* job_ = nullptr;  // null tells the threads to end
  int forks_ = forks;
  alignas(64) std::atomic<unsigned> left_{0};
};

// Null while the calling thread's thread_local objects are being destroyed.
Team* this_threads_team() {
  thread_local bool ended = false;
  if (ended) return nullptr;
  struct Owner {
    Team team;
    ~Owner() { ended = true; }
  };
  thread_local Owner owner;
  return &owner.team;
}

}  // namespace

int num_threads() { return thread_count().load(std::memory_order_relaxed); }

void set_num_threads(int n) {
  if (n < 1 || n > 1024) throw ValueError("[set_num_threads] n: got " + std::to_string(n) + "; must be in [1, 1024]");
  thread_count().store(n, std::memory_order_relaxed);
}

// A thread begins with the same part of the tasks each time, so that its own cache holds the data that it wrote in the
// previous op. Between cores that share no cache, a line takes six times longer (benchmarks/NOTES.md).
void parallel_for(std::int64_t tasks, TaskRef task, bool serial) {
  auto threads = static_cast<int>(std::min<std::int64_t>(tasks, num_threads()));
  Team* const team = serial || threads <= 1 || place.size != 0 ? nullptr : this_threads_team();
  if (team != nullptr) threads = team->grow(threads);
  if (team == nullptr || threads == 1) {
    for (std::int64_t i = 0; i < tasks; ++i) task(i);
    return;
  }
  Job job{task, threads, poll_time(threads), OpGuard::current()};
  team->run(job, tasks);
}

detail::TeamPlace detail::team_place() { return place; }

}  // namespace vg
