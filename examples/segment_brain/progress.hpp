// Progress of a run: a bar that redraws itself on a terminal, otherwise plain lines.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

class Progress {
 public:
  /// Steps count from `first` to `total`; each handles `voxels` voxels.
  Progress(std::int64_t first, std::int64_t total, std::int64_t voxels);
  void show(std::int64_t step, double loss, double rate);
  /// Prints a separate line above the bar.
  void line(const std::string& text);
  ~Progress();

 private:
  std::int64_t first_, total_, voxels_;
  bool terminal_;
  std::chrono::steady_clock::time_point start_, shown_{};
};
