#include "segment_brain/settings.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "run.hpp"

void Settings::declare(CLI::App& app) {
  app.add_option("--data", data, "Folder with ch2.nii.gz, aal.nii.gz and aal.nii.txt")->capture_default_str();
  app.add_option("--steps", steps, "Training steps, one half brain each")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1000000}))
      ->capture_default_str();
  app.add_option("--seed", seed, "Seed of the initial weights and the augmentation")->capture_default_str();
  app.add_option("--threads", threads, "Threads; the result does not depend on them (default: all cores)")
      ->check(CLI::Range(1, 1024));
  app.add_option("--spacing", spacing, "Voxel size in mm, a multiple of the files' 1 mm")->capture_default_str();
  app.add_option("--rate", rate, "Highest learning rate")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--checkpoint-every", checkpoint_every,
                 "Steps between checkpoints; each evaluation writes one, too")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--keep", keep, "Number of latest checkpoints to keep, besides the one with the best Dice")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--stop-after", stop_after, "Stop after this step of a longer run, to continue later with --resume")
      ->check(CLI::PositiveNumber);
  app.add_flag("--resume", resume,
               "Continue from the newest checkpoint of the output folder, if there is one; without it a run starts "
               "afresh and removes them");
  app.add_flag("--allow-other-settings", other_settings,
               "Continue with the options given here although the checkpoint's run had others")
      ->needs("--resume");
  app.add_flag("--summary", summary, "Print the table of the network's layers first");
  app.add_option("--output", output, "Folder for checkpoints, history.json, prediction.nii.gz, report.html")
      ->capture_default_str();
}

std::vector<std::pair<std::string, std::string>> Settings::rows(std::int64_t parameters) const {
  return {{"data", data.string()},
          {"network", fmt::format("U-Net 16-32-64, {} parameters", parameters)},
          {"loss", "cross-entropy + soft Dice"},
          {"optimizer", fmt::format("AdamW, one-cycle learning rate to {}", rate)},
          {"augmentation", "shift up to 2 voxels, contrast, brightness, noise"},
          {"steps", fmt::format("{}", steps)},
          {"seed", fmt::format("{}", seed)},
          {"spacing", fmt::format("{} mm", spacing)}};
}

vg::StateDict Settings::save_state() const {
  vg::StateDict b;
  b.values = {
      {"steps", steps}, {"seed", std::to_string(seed)}, {"spacing", spacing}, {"rate", rate}, {"data_crc32", data_sum}};
  return b;
}

std::vector<std::string> Settings::check_state(const vg::StateDict& state) const {
  if (other_settings) return {};
  SettingsCheck check;
  check.same("steps", fmt::format("{}", state.get<std::int64_t>("steps")), fmt::format("{}", steps));
  check.same("seed", state.get<std::string>("seed"), std::to_string(seed));
  check.same("rate", fmt::format("{}", state.get<double>("rate")), fmt::format("{}", rate));
  check.same("spacing", fmt::format("{}", state.get<double>("spacing")), fmt::format("{}", spacing));
  check.same_data(state, data_sum);
  return check.problems();
}
