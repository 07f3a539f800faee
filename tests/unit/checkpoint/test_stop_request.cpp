// StopRequest: the first signal sets a flag, the second ends the process, and the old handlers are restored.
#include <sys/wait.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/system/stop_request.hpp"

namespace {

volatile std::sig_atomic_t seen = 0;
void see(int signal) { seen = signal; }

// The wait status of a child that runs `work`. Children end without running the destructors of the tests.
template <class Work>
int status_of(Work work) {
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGINT, SIG_DFL);  // a background job of a script ignores it
    work();
    ::_exit(99);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

}  // namespace

TEST_CASE("stop request: the first signal is noted, with its exit status", "[stop_request]") {
  const int signal = GENERATE(SIGINT, SIGTERM);
  const auto before = std::signal(signal, see);
  {
    const vg::StopRequest stop;
    CHECK_FALSE(stop);
    CHECK(stop.exit_status() == 0);
    CHECK(stop.name().empty());
    std::raise(signal);
    CHECK(stop);
    CHECK(stop.signal() == signal);
    CHECK(stop.exit_status() == 128 + signal);
    CHECK(stop.name() == (signal == SIGINT ? "SIGINT" : "SIGTERM"));
    CHECK_THROWS_AS(vg::StopRequest(), vg::ValueError);
  }
  CHECK(seen == 0);
  std::raise(signal);  // runs the old handler
  CHECK(seen == signal);
  seen = 0;
  const vg::StopRequest next;
  CHECK_FALSE(next);
  std::signal(signal, before);
}

TEST_CASE("stop request: the second signal ends the process", "[stop_request]") {
  const int second = GENERATE(SIGINT, SIGTERM);
  const int status = status_of([&] {
    const vg::StopRequest stop;
    std::raise(SIGTERM);
    if (stop.signal() != SIGTERM) ::_exit(1);
    std::raise(second);
  });
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == second);
}

TEST_CASE("stop request: an ignored signal stays ignored", "[stop_request]") {
  const int status = status_of([] {
    std::signal(SIGINT, SIG_IGN);
    const vg::StopRequest stop;
    std::raise(SIGINT);
    if (stop) ::_exit(1);
    std::raise(SIGTERM);
    std::raise(SIGINT);
    ::_exit(stop.signal() == SIGTERM ? 0 : 2);
  });
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}
