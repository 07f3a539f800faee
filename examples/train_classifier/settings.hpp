// The options of a run. Those that decide its result are saved with the checkpoint: a run is resumed with its own.
#pragma once

#include <string>
#include <vector>

#include "training.hpp"

struct Settings : TrainingSettings, vg::Stateful {
  std::string data;        // a MedMNIST3D archive; empty: voxelised solids
  std::int64_t size = 28;  // of the solids
  std::string net = "resnet10";
  std::int64_t width = 0;   // 0: the net's own
  std::int64_t epochs = 0;  // 0: `steps` decides
  std::string augment;      // empty: none for solids, which come in any pose, pose for an archive
  double smoothing = 0.05;
  std::int64_t data_sum = 0;  // checksum of the training data

  Settings();
  void declare(CLI::App& app);

  vg::StateDict save_state() const override;
  /// Names each setting that differs from the checkpoint's.
  std::vector<std::string> check_state(const vg::StateDict& state) const override;
  void load_state(const vg::StateDict&) override {}
};
