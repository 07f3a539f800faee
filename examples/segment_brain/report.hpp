// Writes the run as one HTML page that works offline: curves, slices with truth and prediction side by side,
// configuration and machine.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "segment_brain/history.hpp"

struct Report {
  using Rows = std::vector<std::pair<std::string, std::string>>;
  std::vector<std::string> classes;  // background first
  const History& history;
  Rows configuration, machine;
  vg::Tensor image;              // (H, W, D), f32
  vg::Tensor truth, prediction;  // (H, W, D), i32
};

/// Throws IoError if the file cannot be written.
void write_report(const std::string& path, const Report& report);
/// CPU, kernel set, threads, memory.
Report::Rows describe_machine();
