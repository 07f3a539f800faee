// Threads and processes: children after fork(), threads that end, and threads that change the number of threads.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include <catch2/catch.hpp>

#include "support/threads_guard.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/base/random.hpp"
#include "voxgrad/framework/base/threads.hpp"
#include "voxgrad/framework/ops/conv3d.hpp"

using namespace vg;

namespace {

Tensor convolved() {
  const Tensor x = random::normal({1, 2}, {1, 12, 12, 12, 8}), w = random::normal({3, 4}, {3, 3, 3, 8, 8});
  return conv3d(x, w, {.padding = {{{1, 1}, {1, 1}, {1, 1}}}}).value();
}

// The exit status of `work` in a child; -1 if it does not end within a minute.
int in_child(int (*work)()) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::alarm(60);
    ::_exit(work());
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

TEST_CASE("a child after fork() computes with one thread until it sets more", "[threads][fork]") {
  const vg::test::ThreadsGuard scope(2);
  static std::vector<double> expected;
  expected = convolved().values();  // with a team of two
  const auto child = [] {
    if (num_threads() != 1) return 1;
    if (convolved().values() != expected) return 2;
    set_num_threads(3);  // the child starts its own threads
    std::atomic<int> tasks{0};
    parallel_for(100, [&](std::int64_t) { ++tasks; });
    if (tasks != 100 || convolved().values() != expected) return 3;
    return in_child([] { return convolved().values() == expected ? 0 : 1; });
  };
  CHECK(in_child(child) == 0);
  CHECK(num_threads() == 2);
  CHECK(convolved().values() == expected);
}

TEST_CASE("a child of fork() can allocate, regardless of what other threads did at that moment",
          "[threads][fork][memory]") {
  std::atomic<bool> stop{false};
  std::thread other([&] {
    while (!stop) memory::Scratch<double> one(1000), two(5000);
  });
  int failed = 0;
  for (int i = 0; i < 100; ++i)
    failed += in_child([] {
                const Tensor t = Tensor::ones({1000});
                return t.value_at(999) == 1 ? 0 : 1;
              }) != 0;
  stop = true;
  other.join();
  CHECK(failed == 0);
}

TEST_CASE("each thread has its own team, which ends with it", "[threads]") {
  const vg::test::ThreadsGuard scope(3);
  std::atomic<int> tasks{0};
  for (int round = 0; round < 10; ++round) {
    std::vector<std::thread> users;
    for (int u = 0; u < 3; ++u)
      users.emplace_back([&] {
        for (int i = 0; i < 20; ++i) parallel_for(10, [&](std::int64_t) { ++tasks; });
      });
    for (std::thread& user : users) user.join();
  }
  CHECK(tasks == 10 * 3 * 20 * 10);
}

TEST_CASE("the number of threads may change while ops run", "[threads]") {
  const vg::test::ThreadsGuard scope(2);
  const std::vector<double> expected = convolved().values();
  std::atomic<bool> stop{false};
  std::thread other([&] {
    for (int n = 1; !stop; n = n % 4 + 1) {
      set_num_threads(n);
      std::this_thread::yield();
    }
  });
  int same = 0;
  for (int i = 0; i < 50; ++i) same += convolved().values() == expected;
  stop = true;
  other.join();
  CHECK(same == 50);
}

TEST_CASE("after an exception no further task starts, and the next parallel_for is complete", "[threads]") {
  for (const int threads : {1, 2, 5}) {
    const vg::test::ThreadsGuard scope(threads);
    std::atomic<int> begun{0};
    CHECK_THROWS_AS(parallel_for(1'000'000,
                                 [&](std::int64_t) {
                                   ++begun;
                                   throw std::bad_alloc();
                                 }),
                    std::bad_alloc);
    CHECK(begun <= threads);
    std::atomic<int> tasks{0};
    parallel_for(1000, [&](std::int64_t) { ++tasks; });
    CHECK(tasks == 1000);
  }
}
