// Code that the classifier programs share: the options of a run, and the run itself. It can be stopped or killed, and
// --resume continues to the same bits.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <voxgrad/voxgrad.hpp>

#include "run.hpp"

namespace CLI {
class App;
}

struct TrainingSettings {
  std::int64_t steps = 400, batch = 32, checkpoint_every = 50, report_every = 50;
  std::uint64_t seed = 0;
  double rate = 1e-2;
  int threads = 0;  // 0: all cores
  std::string output;
  bool resume = false;
  bool other_settings = false;  // resume although the checkpoint has other settings

  void declare(CLI::App& app);
};

class Training {
 public:
  /// Uses AdamW with a one-cycle learning rate up to settings.rate, cross-entropy, and moving averages of the
  /// parameters and of their batch statistics.
  Training(TrainingSettings settings, vg::Sequential model, vg::DataLoader loader,
           const vg::CrossEntropyOptions& loss = {});

  /// The parts that a checkpoint of the run saves; add more before begin().
  vg::Checkpoint& checkpoint() { return checkpoints_.checkpoint(); }
  /// With --output: continues from the newest checkpoint, or clears the folder, and prints which.
  void begin();
  /// Trains up to the last step and calls `after_step(n)` after each. Returns the exit status: 0, or that of the signal
  /// that ended the training.
  int run(const std::function<void(std::int64_t)>& after_step = {});
  /// Compares the predictions of the averaged model on a dataset with its labels.
  vg::MetricValues evaluate(std::shared_ptr<const vg::Dataset> dataset, std::int64_t classes);

  vg::Sequential& model() { return model_; }

 private:
  bool keeps() const { return !settings_.output.empty(); }
  vg::Variable loss_of(const vg::Batch& batch) { return vg::cross_entropy(model_(batch.x), batch.y, loss_); }
  double step();

  TrainingSettings settings_;
  vg::CrossEntropyOptions loss_;
  vg::Sequential model_;
  vg::DataLoader loader_;
  vg::AdamW optimizer_;
  vg::Ema ema_;
  vg::CheckpointManager checkpoints_;
};
