#include "train_classifier/settings.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "train_classifier/augmentation.hpp"
#include "train_classifier/nets.hpp"

Settings::Settings() {
  steps = 600;
  rate = 1e-2;
  report_every = 20;
}

void Settings::declare(CLI::App& app) {
  auto* file = app.add_option("--data", data,
                              "A MedMNIST3D archive (.npz with train_, val_ and test_ images and labels); without it "
                              "voxelised solids are told apart");
  app.add_option("--size", size, "Voxels along an edge of the solids")
      ->check(CLI::Range(8, 128))
      ->capture_default_str()
      ->excludes(file);
  app.add_option("--net", net, "Net of the model zoo")->check(CLI::IsMember(net_names()))->capture_default_str();
  app.add_option("--width", width,
                 "Channels of the first stage; those of the others are multiples (default: the net's)")
      ->check(CLI::Range(1, 1024));
  app.add_option("--epochs", epochs, "Passes over the training samples, in place of --steps")
      ->check(CLI::PositiveNumber)
      ->excludes("--steps");
  app.add_option("--augment", augment,
                 "none; shift: by up to 2 voxels, contrast, noise; pose: flips and turns by 90 degrees, too (not where "
                 "left and right are classes). Default: pose with --data, none for solids, which come in any pose")
      ->check(CLI::IsMember(augmentation_names()));
  app.add_option("--smoothing", smoothing, "Smoothing of the labels, in [0, 1)")
      ->check(CLI::Range(0.0, 0.99))
      ->capture_default_str();
}

vg::StateDict Settings::save_state() const {
  vg::StateDict b;
  b.values = {{"seed", std::to_string(seed)},
              {"net", net},
              {"augment", augment},
              {"smoothing", smoothing},
              {"data_crc32", data_sum}};
  return b;
}

std::vector<std::string> Settings::check_state(const vg::StateDict& state) const {
  if (other_settings) return {};
  SettingsCheck check;
  check.same("seed", state.get<std::string>("seed"), std::to_string(seed));
  check.same("net", state.get<std::string>("net"), net);
  check.same("augment", state.get<std::string>("augment"), augment);
  check.same("smoothing", fmt::format("{}", state.get<double>("smoothing")), fmt::format("{}", smoothing));
  check.same_data(state, data_sum);
  return check.problems();
}
