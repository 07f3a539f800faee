// A small CNN learns to tell voxelised solids apart (sphere, box, torus, ...), in random pose and with noise. With
// --output the run is kept: it can be stopped, or killed, and goes on with --resume to the same bits.
#include <cmath>
#include <cstdio>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <voxgrad/voxgrad.hpp>

namespace {

struct Settings {
  std::int64_t steps = 400, size = 16, batch = 32, checkpoint_every = 50;
  std::uint64_t seed = 0;
  double rate = 1e-2;
  int threads = 0;
  std::string output;
  bool resume = false;

  void declare(CLI::App& app) {
    app.add_option("--steps", steps, "Training steps")->check(CLI::PositiveNumber)->capture_default_str();
    app.add_option("--size", size, "Voxels along an edge")->check(CLI::Range(8, 128))->capture_default_str();
    app.add_option("--batch", batch, "Solids in a step")->check(CLI::PositiveNumber)->capture_default_str();
    app.add_option("--seed", seed, "Of the first weights and the solids")->capture_default_str();
    app.add_option("--rate", rate, "Highest learning rate")->check(CLI::PositiveNumber)->capture_default_str();
    app.add_option("--threads", threads, "Threads; the result does not depend on them (default: all cores)")
        ->check(CLI::Range(1, 1024));
    app.add_option("--output", output, "Folder for the run's checkpoints (default: none are kept)");
    app.add_option("--checkpoint-every", checkpoint_every, "Steps between checkpoints")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    app.add_flag("--resume", resume, "Go on from the newest checkpoint of --output, if there is one")
        ->needs("--output");
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
                       vg::ReLU(), vg::GlobalAvgPool3d(), vg::Dropout({.prob = 0.9}),
                       vg::Linear({.out_features = vg::shape_kinds}));
  model.build({settings.size, settings.size, settings.size, 1});
  return model;
}

class Run {
 public:
  explicit Run(const Settings& settings)
      : settings_(settings),
        model_(network(settings)),
        loader_(vg::ShapesDataset({.count = 4096, .size = settings.size, .seed = 2 * settings.seed}),
                {.batch_size = settings.batch, .shuffle = true, .seed = settings.seed}),
        optimizer_(model_.parameters(), {.lr = vg::OneCycle({.max_lr = settings.rate, .total_steps = settings.steps})}),
        ema_(model_.parameters(), {.decay = 0.98}),
        checkpoints_(settings.output) {
    checkpoints_.checkpoint()
        .model(model_)
        .optimizer(optimizer_)
        .generator(vg::random::default_generator())
        .part("ema", ema_)
        .part("loader", loader_);
    if (keeps()) prepare_folder();
  }

  std::string summary() { return model_.summary({1, settings_.size, settings_.size, settings_.size, 1}); }

  /// The exit status: 0, or that of the signal that ended the training.
  int train() {
    const vg::StopRequest stop;
    const vg::FitScope training(model_);
    while (optimizer_.steps() < settings_.steps) {
      const double loss = step();
      const std::int64_t n = optimizer_.steps();
      if (n % 50 == 0 || n == settings_.steps) fmt::print("step {}/{}  loss {:.4f}\n", n, settings_.steps, loss);
      if (keeps() && (stop || n % settings_.checkpoint_every == 0 || n == settings_.steps))
        checkpoints_.save_in_background(n);
      if (!stop) continue;
      checkpoints_.wait();
      fmt::print("{}: stopped after step {}; {}\n", stop.name(), n,
                 keeps() ? "--resume goes on from here" : "nothing was kept (no --output)");
      return stop.exit_status();
    }
    checkpoints_.wait();
    return 0;
  }

  /// The share of solids never seen that the averaged model names rightly.
  double accuracy() {
    const vg::NoGrad no_grad;
    const vg::FitScope evaluation(model_, false);
    const vg::EmaScope averages(ema_);
    const vg::ShapesDataset shapes({.count = 512, .size = settings_.size, .seed = 2 * settings_.seed + 1});
    std::int64_t right = 0;
    vg::DataLoader loader(shapes, {.batch_size = 32});
    for (const vg::Batch& batch : loader) {
      const vg::Tensor named = vg::argmax(model_(batch.x).value());
      for (std::int64_t i = 0; i < named.numel(); ++i) right += named.value_at(i) == batch.y.value_at(i);
    }
    return static_cast<double>(right) / static_cast<double>(shapes.size());
  }

 private:
  bool keeps() const { return !settings_.output.empty(); }

  void prepare_folder() {
    if (!settings_.resume) return checkpoints_.clear();
    const vg::Resumed resumed = checkpoints_.resume();
    for (const auto& skipped : resumed.skipped) fmt::print("Passed over: {}\n", skipped.why);
    if (resumed)
      fmt::print("Resuming {} after step {}\n", resumed.path.string(), resumed.step);
    else
      fmt::print("No checkpoint in {}: a fresh start\n", settings_.output);
  }

  vg::Variable loss_of(const vg::Batch& batch) { return vg::cross_entropy(model_(batch.x), batch.y); }

  double step() {
    const vg::Batch batch = loader_.next();
    const vg::Variable loss = loss_of(batch);
    if (!std::isfinite(loss.item())) stop_for(batch, loss.item());
    loss.backward();
    optimizer_.step();
    optimizer_.zero_grad();
    ema_.update();
    return loss.item();
  }

  // The step once more, looked at op by op.
  [[noreturn]] void stop_for(const vg::Batch& batch, double loss) {
    const std::int64_t n = optimizer_.steps() + 1;
    checkpoints_.wait();
    vg::NanFinder finder(model_);
    finder.step(n);
    loss_of(batch).backward();
    throw vg::NonFiniteError(fmt::format("step {}: the loss is {}, which the same step does not give again", n, loss));
  }

  Settings settings_;
  vg::Sequential model_;
  vg::DataLoader loader_;
  vg::AdamW optimizer_;
  vg::Ema ema_;
  vg::CheckpointFolder checkpoints_;
};

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  CLI::App app{"Trains a small CNN to tell voxelised solids apart."};
  settings.declare(app);
  CLI11_PARSE(app, argc, argv);
  try {
    if (settings.threads > 0) vg::set_num_threads(settings.threads);
    Run run(settings);
    fmt::print("{}", run.summary());
    std::fflush(stdout);
    if (const int status = run.train(); status != 0) return status;
    fmt::print("accuracy on solids never seen: {:.3f} (chance {:.3f})\n", run.accuracy(),
               1.0 / static_cast<double>(vg::shape_kinds));
    return 0;
  } catch (const vg::NonFiniteError& e) {
    std::fflush(stdout);
    fmt::print(stderr,
               "error: the training met a value that is not finite and stopped; checkpoints stay as they were\n{}\n",
               e.what());
    return 1;
  } catch (const std::exception& e) {
    std::fflush(stdout);
    fmt::print(stderr, "error: {}\n", e.what());
    return 1;
  }
}
