// segment_brain: a 3-D U-Net learns brain regions on one hemisphere of a real MRI and is tested on the other, which is
// never used for training.
#include <chrono>
#include <cmath>
#include <cstdio>
#include <optional>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "run.hpp"
#include "segment_brain/brain_data.hpp"
#include "segment_brain/history.hpp"
#include "segment_brain/progress.hpp"
#include "segment_brain/report.hpp"
#include "segment_brain/settings.hpp"
#include "segment_brain/unet.hpp"
#include "voxgrad/framework/system/atomic_file.hpp"

namespace {

// The input of the network for a half brain: intensity and three normalised coordinates.
vg::Sample seen(const vg::Sample& s) { return {vg::add_coordinates(s.x), s.y}; }

// Shifts image and labels by up to 2 voxels, changes the image's contrast and brightness and adds noise. Coordinates
// are added last, because they describe positions and must not be augmented.
vg::Sample augmented(const vg::Sample& sample, const vg::random::Key& key) {
  const auto keys = vg::random::split(key, 3);
  const vg::Sample shifted = vg::augment::random_shift(keys[0], sample, 2, vg::augment::Edge::wrap);
  return seen(vg::augment::random_noise(keys[2], vg::augment::random_intensity(keys[1], shifted, 0.2, 0.1), 0.1));
}

vg::Tensor predict(UNet& model, const HalfBrain& half) {
  vg::NoGradGuard no_grad;
  return vg::argmax(model(vg::expand_dims(vg::add_coordinates(half.image), 0)).value(), -1);
}

// 2 |P and T| / (|P| + |T|) for each class except the background.
std::vector<double> dice_of(const vg::Tensor& prediction, const vg::Tensor& truth, std::size_t classes) {
  std::vector<double> both(classes), total(classes);
  const auto *p = prediction.data<std::int32_t>(), *t = truth.data<std::int32_t>();
  for (std::int64_t i = 0; i < truth.numel(); ++i) {
    const auto a = static_cast<std::size_t>(p[i]), b = static_cast<std::size_t>(t[i]);
    total[a] += 1, total[b] += 1;
    if (a == b) both[a] += 1;
  }
  std::vector<double> dice;
  for (std::size_t c = 1; c < classes; ++c) dice.push_back(total[c] > 0 ? 2 * both[c] / total[c] : 1);
  return dice;
}

constexpr const char *history_name = "history.json", *report_name = "report.html";

class Run {
 public:
  explicit Run(const Settings& settings)
      : settings_(settings),
        data_(load_brain(settings.data, settings.spacing)),
        model_(seeded_model(settings, data_)),
        optimizer_(model_.parameters(), {.lr = vg::OneCycle({.max_lr = settings.rate, .total_steps = settings.steps})}),
        loader_(vg::SampleDataset({{data_.train.image, data_.train.labels}}),
                {.seed = settings.seed, .transform = augmented}),
        history_(data_.classes.size() - 1),
        checkpoints_(settings.output / "checkpoints", {.keep_last = settings.keep, .best = vg::Best::highest}) {
    settings_.data_sum = checksum({data_.train.image, data_.train.labels, data_.held_out.image, data_.held_out.labels});
    optimizer_.allow_other_settings(settings.other_settings);
    loader_.allow_other_settings(settings.other_settings);
    checkpoints_.checkpoint()
        .model(model_)
        .optimizer(optimizer_)
        .part("loader", loader_)
        .part("history", history_)
        .part("settings", settings_);
    if (settings.resume)
      resume();
    else
      checkpoints_.clear();
    // Find out before the training whether the results can be written.
    for (const char* name : {history_name, report_name}) vg::AtomicFile("[segment_brain]", settings.output / name);
  }

  /// Trains. Returns the exit status: 0, or that of the signal that ended the training.
  int train() {
    const vg::StopRequest stop;
    const std::int64_t first = done(), last = settings_.stop_after > 0 ? std::min(settings_.stop_after, settings_.steps)
                                                                       : settings_.steps;
    Progress progress(first, settings_.steps, data_.train.labels.numel());
    const auto start = std::chrono::steady_clock::now();
    for (std::int64_t n = first + 1; n <= last; ++n) {
      checkpoints_.check();
      progress.show(n, step(), optimizer_.lr());
      std::optional<double> dice;
      if (n % 50 == 0 || n == settings_.steps) {
        evaluate();
        dice = history_.evaluations.back().mean();
        progress.line(fmt::format("step {}: held-out mean Dice {:.3f}", n, *dice));
      }
      if (stop || dice || n % settings_.checkpoint_every == 0 || n == last) checkpoints_.save_in_background(n, dice);
      if (!stop) continue;
      checkpoints_.wait();
      progress.line(fmt::format("{}: stopped after step {}; --resume goes on from here", stop.name(), n));
      return stop.exit_status();
    }
    checkpoints_.wait();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (last > first)
      progress.line(fmt::format("{} steps in {:.1f} s, {:.3f} s per step with all its work", last - first,
                                seconds, seconds / static_cast<double>(last - first)));
    return 0;
  }

  void finish() {
    if (history_.evaluations.empty()) evaluate();
    history_.write_json((settings_.output / history_name).string(), data_.classes);
    const vg::Volume prediction = data_.assemble(predict(model_, data_.train), predict(model_, data_.held_out));
    vg::write_nifti(settings_.output / "prediction.nii.gz", prediction, vg::NiftiType::uint8);
    write_report((settings_.output / report_name).string(),
                 Report{data_.classes, history_, settings_.rows(model_.parameters().numel()), describe_machine(),
                        data_.image.data, data_.labels.data, prediction.data});
    const History::Evaluation& result = history_.evaluations.back();
    for (std::size_t c = 1; c < data_.classes.size(); ++c)
      fmt::print("  {:<18} {:.3f}\n", data_.classes[c], result.dice[c - 1]);
    fmt::print("Report: {}\n", (settings_.output / report_name).string());
    fmt::print("held-out mean Dice {:.3f}\n", result.mean());
  }

  std::int64_t done() const { return static_cast<std::int64_t>(history_.loss.size()); }
  std::string summary() {
    const vg::Shape& s = data_.train.labels.shape();
    return model_.summary({1, s[0], s[1], s[2], 4});
  }

 private:
  static UNet seeded_model(const Settings& settings, const BrainData& data) {
    vg::random::seed(settings.seed);
    return UNet(4, static_cast<std::int64_t>(data.classes.size()));
  }

  void resume() {
    const vg::ResumeInfo resumed = checkpoints_.resume();
    if (resumed.step != done())
      throw vg::IoError(fmt::format("[segment_brain] {}: it is of step {}, with the losses of {} steps",
                                    resumed.path.string(), resumed.step, done()));
    print_resumed(resumed, done(), checkpoints_.folder().string());
  }

  vg::Variable loss_of(const vg::Batch& batch) { return vg::dice_cross_entropy(model_(batch.x), batch.y); }

  double step() {
    const vg::Batch batch = loader_.next();
    const vg::Variable loss = loss_of(batch);
    if (!std::isfinite(loss.item())) {
      checkpoints_.wait();
      explain_loss(model_, done() + 1, loss.item(), [&] { return loss_of(batch); });
    }
    loss.backward();
    optimizer_.step();
    optimizer_.zero_grad();
    history_.loss.push_back(loss.item());
    return loss.item();
  }

  void evaluate() {
    const vg::Tensor prediction = predict(model_, data_.held_out);
    history_.evaluations.push_back({done(), dice_of(prediction, data_.held_out.labels, data_.classes.size())});
  }

  Settings settings_;
  BrainData data_;
  UNet model_;
  vg::AdamW optimizer_;
  vg::DataLoader loader_;
  History history_;
  vg::CheckpointManager checkpoints_;
};

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  CLI::App app{
      "Trains a 3-D U-Net to find brain regions on one half of a real MRI (Debian package mricron-data) and tests it "
      "on the other half."};
  settings.declare(app);
  CLI11_PARSE(app, argc, argv);
  return exit_status_of([&] {
    if (settings.threads > 0) vg::set_num_threads(settings.threads);
    Run run(settings);
    if (settings.summary) fmt::print("{}", run.summary());
    if (const int status = run.train(); status != 0) return status;
    run.finish();
    return 0;
  });
}
