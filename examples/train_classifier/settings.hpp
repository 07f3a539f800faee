// The options of a run. Those that affect its result are saved with the checkpoint, and a resumed run must have the
// same ones.
#pragma once

#include <string>
#include <vector>

#include "training.hpp"

struct Settings : TrainingSettings, vg::Stateful {
  std::string data;        // a MedMNIST3D archive; empty: voxelised solids
  std::int64_t size = 28;  // extent of the solids
  std::string net = "resnet10";
  std::int64_t width = 0;   // 0: the net's default
  std::int64_t epochs = 0;  // 0: `steps` decides
  std::string augment;      // empty: none for solids, which have random poses; pose for an archive
  double smoothing = 0.05;
  std::int64_t data_sum = 0;  // checksum of the training data

  Settings();
  void declare(CLI::App& app);

  vg::StateDict save_state() const override;
  /// Lists each setting that differs from the checkpoint's.
  std::vector<std::string> check_state(const vg::StateDict& state) const override;
  void load_state(const vg::StateDict&) override {}
};
