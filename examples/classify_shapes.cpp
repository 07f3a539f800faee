// A small CNN learns to classify voxelised solids (sphere, box, torus, ...) in random poses and with noise. With
// --output the run writes checkpoints: it can be stopped or killed, and --resume continues to the same bits
// (training.hpp).
#include <cstdio>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "training.hpp"

namespace {

struct Settings : TrainingSettings {
  std::int64_t size = 16;

  void declare(CLI::App& app) {
    app.add_option("--size", size, "Voxels along an edge")->check(CLI::Range(8, 128))->capture_default_str();
    TrainingSettings::declare(app);
  }
};

vg::Conv3d conv(std::int64_t channels) {
  return vg::Conv3d({.out_channels = channels,
                     .kernel_size = 3,
                     .w_init = vg::init::KaimingNormal(),
                     .b_init = vg::init::ZeroInit()});
}

vg::Sequential network(const Settings& settings) {
  vg::random::seed(settings.seed);
  vg::Sequential model(conv(16), vg::BatchNorm3d(), vg::ReLU(), vg::MaxPool3d({.kernel_size = 2}), conv(32),
                       vg::BatchNorm3d(), vg::ReLU(), vg::MaxPool3d({.kernel_size = 2}), conv(64), vg::BatchNorm3d(),
                       vg::ReLU(), vg::GlobalAvgPool3d(), vg::Dropout({.keep_prob = 0.9}),
                       vg::Linear({.out_features = vg::shape_kinds}));
  model.build({settings.size, settings.size, settings.size, 1});
  return model;
}

// Datasets with different seeds share no solid.
std::shared_ptr<const vg::Dataset> solids(std::int64_t count, std::int64_t size, std::uint64_t seed) {
  return std::make_shared<vg::ShapesDataset>(vg::ShapesOptions{.count = count, .size = size, .seed = seed});
}

int train(const Settings& settings) {
  if (settings.threads > 0) vg::set_num_threads(settings.threads);
  const std::int64_t size = settings.size;
  Training training(settings, network(settings),
                    vg::DataLoader(solids(4096, size, 2 * settings.seed),
                                   {.batch_size = settings.batch, .shuffle = true, .seed = settings.seed}));
  training.begin();
  fmt::print("{}", training.model().summary({1, size, size, size, 1}));
  std::fflush(stdout);
  if (const int status = training.run(); status != 0) return status;
  fmt::print("accuracy on unseen solids: {:.3f} (chance {:.3f})\n",
             training.evaluate(solids(512, size, 2 * settings.seed + 1), vg::shape_kinds).accuracy,
             1.0 / static_cast<double>(vg::shape_kinds));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  CLI::App app{"Trains a small CNN to classify voxelised solids."};
  settings.declare(app);
  CLI11_PARSE(app, argc, argv);
  return exit_status_of([&] { return train(settings); });
}
