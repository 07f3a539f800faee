// The op that runs on this thread. The messages of errors that do not depend on an argument (out of memory) name it.
#pragma once

#include <string_view>
#include <utility>

namespace vg {

/// Names the op for a scope. An op that is called within another op names itself. The text must outlive the scope.
/// parallel_for passes the name on to the threads of its team.
class OpGuard {
 public:
  explicit OpGuard(std::string_view op) : before_(std::exchange(current_, op)) {}
  ~OpGuard() { current_ = before_; }
  OpGuard(const OpGuard&) = delete;
  OpGuard& operator=(const OpGuard&) = delete;

  /// Empty outside of ops.
  static std::string_view current() { return current_; }

 private:
  static inline thread_local std::string_view current_{};
  std::string_view before_;
};

}  // namespace vg
