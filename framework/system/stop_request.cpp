#include "voxgrad/framework/system/stop_request.hpp"

#include <atomic>

#include "voxgrad/framework/base/error.hpp"

namespace vg {

namespace {

constexpr int signals[] = {SIGINT, SIGTERM};
std::atomic<bool> installed{false};
std::atomic<int> received{0};
std::atomic<bool> taken[2];                            // which of the signals have our handler
static_assert(std::atomic<int>::is_always_lock_free);  // so a handler may use it

void by_default(int signal) {
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  ::sigaction(signal, &action, nullptr);
}

extern "C" void voxgrad_on_stop_signal(int signal) {
  int none = 0;
  received.compare_exchange_strong(none, signal);
  for (int i = 0; i < 2; ++i)
    if (taken[i]) by_default(signals[i]);  // the next signal ends the process
}

}  // namespace

StopRequest::StopRequest() {
  if (installed.exchange(true)) throw ValueError("[StopRequest] there is one already; must be the only one");
  received = 0;
  struct sigaction action {};
  action.sa_handler = voxgrad_on_stop_signal;
  action.sa_flags = SA_RESTART;
  for (const int s : signals) ::sigaddset(&action.sa_mask, s);
  for (int i = 0; i < 2; ++i) {
    ::sigaction(signals[i], nullptr, &before_[i]);
    taken[i] = before_[i].sa_handler != SIG_IGN;
    if (taken[i]) ::sigaction(signals[i], &action, nullptr);
  }
}

StopRequest::~StopRequest() {
  for (int i = 0; i < 2; ++i) ::sigaction(signals[i], &before_[i], nullptr);
  installed = false;
}

int StopRequest::signal() const { return received; }

std::string_view StopRequest::name() const {
  const int s = signal();
  return s == SIGINT ? "SIGINT" : s == SIGTERM ? "SIGTERM" : "";
}

}  // namespace vg
