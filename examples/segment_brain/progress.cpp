#include "segment_brain/progress.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include <fmt/format.h>

namespace {
std::string clock_time(double seconds) {
  const auto s = static_cast<std::int64_t>(seconds + 0.5);
  return fmt::format("{}:{:02}", s / 60, s % 60);
}
}  // namespace

Progress::Progress(std::int64_t first, std::int64_t total, std::int64_t voxels)
    : first_(first),
      total_(total),
      voxels_(voxels),
      terminal_(isatty(STDOUT_FILENO) == 1),
      start_(std::chrono::steady_clock::now()) {}

void Progress::show(std::int64_t step, double loss, double rate) {
  using namespace std::chrono;
  const auto now = steady_clock::now();
  const bool done_now = step == total_;
  // A terminal is redrawn at most 10 times per second; otherwise every 20th step is printed.
  if (!done_now && (terminal_ ? now - shown_ < milliseconds(100) : step % 20 != 0 && step != first_ + 1)) return;
  shown_ = now;
  const double elapsed = duration<double>(now - start_).count(), done = static_cast<double>(step - first_);
  const std::string figures = fmt::format("step {}/{}  loss {:.4f}  rate {:.2e}  {:.2f} Mvoxel/s  left {}", step,
                                          total_, loss, rate, done * static_cast<double>(voxels_) / elapsed / 1e6,
                                          clock_time(elapsed / done * static_cast<double>(total_ - step)));
  if (terminal_) {
    constexpr int width = 24;
    const int full = static_cast<int>(step * width / std::max<std::int64_t>(total_, 1));
    fmt::print("\r\033[K[{:#<{}}{:.<{}}] {}", "", full, "", width - full, figures);
  } else {
    fmt::print("{}\n", figures);
  }
  std::fflush(stdout);
}

void Progress::line(const std::string& text) {
  fmt::print("{}{}\n", terminal_ ? "\r\033[K" : "", text);
  std::fflush(stdout);
}

Progress::~Progress() {
  if (terminal_) std::fputs("\n", stdout);  // which does not throw
}
