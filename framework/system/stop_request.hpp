// StopRequest: SIGINT (Ctrl-C) and SIGTERM become a question that the training loop asks.
//
//   vg::StopRequest stop;
//   for (...) {
//     ...
//     if (stop) { run.save(step); return stop.exit_status(); }
//   }
#pragma once

#include <csignal>
#include <string_view>

namespace vg {

/// While it lives, the first SIGINT or SIGTERM only sets a flag; a second one of either does what it did by default:
/// it ends the process, which a saved checkpoint survives. A signal that was ignored (nohup, a background job of a
/// script) stays so. The handlers of before come back at the end. One at a time in a process: a second is a ValueError.
class StopRequest {
 public:
  StopRequest();
  ~StopRequest();
  StopRequest(const StopRequest&) = delete;
  StopRequest& operator=(const StopRequest&) = delete;

  explicit operator bool() const { return signal() != 0; }
  /// The signal that came first; 0: none.
  int signal() const;
  /// "SIGINT", "SIGTERM" or "".
  std::string_view name() const;
  /// What a shell expects of a process that a signal stopped: 128 + its number; 0 without one.
  int exit_status() const { return signal() == 0 ? 0 : 128 + signal(); }

 private:
  struct sigaction before_[2]{};
};

}  // namespace vg
