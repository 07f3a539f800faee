// FusionGuard turns fusion on or off; docs/fusion.md lists which ops fuse.
#pragma once

namespace vg {

/// Whether ops of this thread may be lazy and fuse: false in a FusionGuard(false) and under a NanFinder.
bool fuses();

/// Turns fusion off (or on again) on this thread for a scope: every op then computes at its call.
class FusionGuard {
 public:
  explicit FusionGuard(bool on);
  ~FusionGuard();
  FusionGuard(const FusionGuard&) = delete;
  FusionGuard& operator=(const FusionGuard&) = delete;

 private:
  bool before_;
};

}  // namespace vg
