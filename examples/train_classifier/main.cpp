// train_classifier: a net of the model zoo learns to classify small volumes: voxelised solids, or a MedMNIST3D archive.
#include <algorithm>
#include <chrono>
#include <cstdio>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "train_classifier/augmentation.hpp"
#include "train_classifier/data.hpp"
#include "train_classifier/nets.hpp"
#include "train_classifier/settings.hpp"
#include "train_classifier/table.hpp"

namespace {

vg::Sequential seeded_net(const Settings& settings, const Data& data) {
  vg::random::seed(settings.seed);
  return make_net(settings.net, settings.width, data.in_size, static_cast<std::int64_t>(data.classes.size()));
}

int train(Settings settings) {
  if (settings.threads > 0) vg::set_num_threads(settings.threads);
  if (settings.augment.empty()) settings.augment = settings.data.empty() ? "none" : "pose";
  const Data data =
      settings.data.empty() ? voxelised_solids(settings.size, settings.seed) : read_medmnist(settings.data);
  const auto classes = static_cast<std::int64_t>(data.classes.size());
  settings.data_sum = data.sum;
  vg::DataLoader loader(data.train, {.batch_size = std::min(settings.batch, data.train->size()),
                                     .shuffle = true,
                                     .drop_last = true,
                                     .seed = settings.seed,
                                     .transform = augmentation(settings.augment)});
  if (settings.epochs > 0) settings.steps = settings.epochs * loader.batches_per_epoch();
  Training training(settings, seeded_net(settings, data), std::move(loader), {.label_smoothing = settings.smoothing});
  training.checkpoint().part("settings", settings);
  training.begin();

  const std::int64_t parameters = training.model().parameters().numel();
  fmt::print("{}: {} parameters; {} training, {} validation, {} test samples of {}, {} classes\n", settings.net,
             parameters, data.train->size(), data.validation->size(), data.test->size(), vg::Shape(data.in_size).str(),
             classes);
  std::fflush(stdout);
  const auto start = std::chrono::steady_clock::now();
  const std::int64_t tenth = std::max<std::int64_t>(settings.steps / 10, 1);
  const int status = training.run([&](std::int64_t n) {
    if (n % tenth != 0 || n == settings.steps) return;
    fmt::print("step {}: validation accuracy {:.3f}\n", n, training.evaluate(data.validation, classes).accuracy);
    std::fflush(stdout);
  });
  if (status != 0) return status;
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();

  const vg::MetricValues test = training.evaluate(data.test, classes);
  fmt::print("{}", table(test.confusion, data.classes));
  fmt::print("{} parameters, {:.1f} s of training, validation accuracy {:.3f}\n", parameters, seconds,
             training.evaluate(data.validation, classes).accuracy);
  fmt::print("held-out accuracy {:.3f} (always the commonest class: {:.3f})\n", test.accuracy,
             commonest(test.confusion));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  CLI::App app{
      "Trains a net of the model zoo to classify small volumes: voxelised solids, or a MedMNIST3D archive (--data)."};
  settings.TrainingSettings::declare(app);
  settings.declare(app);
  CLI11_PARSE(app, argc, argv);
  return exit_status_of([&] { return train(settings); });
}
