// A choice by name for the whole process: forced by a call or, before its first use, by an environment variable.
#pragma once

#include <atomic>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vg::kernels {

class Choice {
 public:
  struct Entry {
    const char* name;
    bool (*can_run)();
  };
  static constexpr int none = -1;

  /// `setter` is the name of the function that calls use(), for messages.
  constexpr Choice(const char* variable, const char* setter, std::span<const Entry> entries)
      : variable_(variable), setter_(setter), entries_(entries) {}

  /// The names of the entries that this CPU can run.
  std::vector<std::string> names() const;
  /// The first entry that this CPU can run.
  int best() const;
  /// The entry that is forced, or `none`. Throws ValueError if the variable names another entry than names() has, at
  /// every call until use().
  int forced() const;
  /// Forces an entry; "" ends that. Throws ValueError, listing names(), for any other name.
  void use(std::string_view name) { current_ = find(setter_, name); }

  /// Forces an entry for a scope and then restores what was forced before. Throws as use() and forced().
  class Guard {
   public:
    Guard(Choice& choice, std::string_view name) : choice_(choice), before_(choice.forced()) { choice.use(name); }
    ~Guard() { choice_.current_ = before_; }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

   private:
    Choice& choice_;
    int before_;
  };

 private:
  static constexpr int undecided = -2;
  int find(const char* where, std::string_view name) const;

  const char *variable_, *setter_;
  std::span<const Entry> entries_;
  mutable std::atomic<int> current_{undecided};
};

}  // namespace vg::kernels
