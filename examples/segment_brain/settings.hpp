// The options of a run. Those that affect its result are saved with the checkpoint, and a resumed run must have the
// same ones.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <voxgrad/voxgrad.hpp>

namespace CLI {
class App;
}

struct Settings : vg::Stateful {
  std::filesystem::path data = "/usr/share/mricron/templates";
  std::filesystem::path output = "output";
  std::int64_t steps = 400;
  std::uint64_t seed = 0;
  int threads = 0;  // 0: all cores
  double spacing = 3;
  double rate = 1e-2;
  std::int64_t checkpoint_every = 100;
  int keep = 2;
  std::int64_t stop_after = 0;  // 0: run to the end
  bool resume = false;
  bool other_settings = false;  // resume although the checkpoint has other settings
  bool summary = false;
  std::int64_t data_sum = 0;  // checksum of the data, not an option

  void declare(CLI::App& app);
  /// Name and value of each option, for the report.
  std::vector<std::pair<std::string, std::string>> rows(std::int64_t parameters) const;

  vg::StateDict save_state() const override;
  /// Lists each setting that differs from the checkpoint's.
  std::vector<std::string> check_state(const vg::StateDict& state) const override;
  void load_state(const vg::StateDict&) override {}
};
