// A limit on the memory that a description may take: a small file could describe a huge model.
#pragma once

#include <cstdint>
#include <string_view>

namespace vg::detail {

/// While it lives, the modules that this thread makes may have at most `values` values of parameters and statistics in
/// total (and 2^18 more).
class LimitGuard {
 public:
  explicit LimitGuard(std::int64_t values);
  ~LimitGuard();
  LimitGuard(const LimitGuard&) = delete;
  LimitGuard& operator=(const LimitGuard&) = delete;

 private:
  std::int64_t limit_before_, taken_before_;
};

/// Counts `values` values of the layer `where`. Throws ValueError if the limit does not allow them. Called before
/// memory is allocated for them.
void take_from_limit(std::string_view where, std::int64_t values);

}  // namespace vg::detail
