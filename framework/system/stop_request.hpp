// StopRequest: turns SIGINT (Ctrl-C) and SIGTERM into a flag that the training loop checks.
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

/// While it lives, the first SIGINT or SIGTERM only sets a flag. A second one of either ends the process, as by
/// default; a saved checkpoint survives that. A signal that was ignored (nohup, a background job of a script) stays
/// ignored. The destructor restores the previous handlers. A second object in the same process is a ValueError.
class StopRequest {
 public:
  StopRequest();
  ~StopRequest();
  StopRequest(const StopRequest&) = delete;
  StopRequest& operator=(const StopRequest&) = delete;

  explicit operator bool() const { return signal() != 0; }
  /// The first signal received, or 0.
  int signal() const;
  /// "SIGINT", "SIGTERM" or "".
  std::string_view name() const;
  /// The exit status that a shell expects after a signal: 128 + its number; 0 if there was none.
  int exit_status() const { return signal() == 0 ? 0 : 128 + signal(); }

 private:
  struct sigaction before_[2]{};
};

}  // namespace vg
