// FusionScope turns fusion on or off; docs/fusion.md says what fuses with what.
#pragma once

namespace vg {

/// Whether ops of this thread may be lazy and fuse: false in a FusionScope(false) and under a NanFinder.
bool fuses();

/// Turns fusion off (or on again) on this thread for a scope: every op then computes at its call.
class FusionScope {
 public:
  explicit FusionScope(bool on);
  ~FusionScope();
  FusionScope(const FusionScope&) = delete;
  FusionScope& operator=(const FusionScope&) = delete;

 private:
  bool before_;
};

}  // namespace vg
