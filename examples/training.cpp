#include "training.hpp"

#include <cmath>
#include <cstdio>
#include <utility>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

void TrainingSettings::declare(CLI::App& app) {
  app.add_option("--steps", steps, "Training steps")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--batch", batch, "Samples per step")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--seed", seed, "Seed of the initial weights and the order of the data")->capture_default_str();
  app.add_option("--rate", rate, "Highest learning rate")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--threads", threads, "Threads; the result does not depend on them (default: all cores)")
      ->check(CLI::Range(1, 1024));
  app.add_option("--output", output, "Folder for the run's checkpoints (default: none are kept)");
  app.add_option("--checkpoint-every", checkpoint_every, "Steps between checkpoints")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_flag("--resume", resume, "Continue from the newest checkpoint of --output, if there is one")->needs("--output");
  app.add_flag("--allow-other-settings", other_settings,
               "Continue with the options given here although the checkpoint's run had others")
      ->needs("--resume");
}

Training::Training(TrainingSettings settings, vg::Sequential model, vg::DataLoader loader,
                   const vg::CrossEntropyOptions& loss)
    : settings_(std::move(settings)),
      loss_(loss),
      model_(std::move(model)),
      loader_(std::move(loader)),
      optimizer_(model_.parameters(), {.lr = vg::OneCycle({.max_lr = settings_.rate, .total_steps = settings_.steps})}),
      ema_(model_.states(vg::StateKind::long_term), {.decay = 0.98}),
      checkpoints_(settings_.output) {
  optimizer_.allow_other_settings(settings_.other_settings);
  loader_.allow_other_settings(settings_.other_settings);
  checkpoints_.checkpoint().model(model_).optimizer(optimizer_).part("ema", ema_).part("loader", loader_);
}

void Training::begin() {
  if (!keeps()) return;
  if (!settings_.resume) return checkpoints_.clear();
  const vg::ResumeInfo resumed = checkpoints_.resume();
  print_resumed(resumed, resumed.step, settings_.output);
}

int Training::run(const std::function<void(std::int64_t)>& after_step) {
  const vg::StopRequest stop;
  const vg::FitGuard training(model_);
  while (optimizer_.steps() < settings_.steps) {
    checkpoints_.check();
    const double loss = step();
    const std::int64_t n = optimizer_.steps();
    const bool last = n == settings_.steps;
    if (n % settings_.report_every == 0 || last) {
      fmt::print("step {}/{}  loss {:.4f}\n", n, settings_.steps, loss);
      std::fflush(stdout);
    }
    if (after_step) after_step(n);
    const bool stopping{stop};  // read once, so that a later signal acts on the next step
    if (keeps() && (stopping || n % settings_.checkpoint_every == 0 || last)) checkpoints_.save_in_background(n);
    if (!stopping) continue;
    checkpoints_.wait();
    fmt::print("{}: stopped after step {}; {}\n", stop.name(), n,
               keeps() ? "--resume goes on from here" : "nothing was kept (no --output)");
    return stop.exit_status();
  }
  checkpoints_.wait();
  return 0;
}

vg::MetricValues Training::evaluate(std::shared_ptr<const vg::Dataset> dataset, std::int64_t classes) {
  const vg::NoGradGuard no_grad;
  const vg::FitGuard evaluation(model_, false);
  const vg::EmaGuard averages(ema_);
  vg::Metrics metrics({.classes = classes, .include_background = true});
  vg::DataLoader loader(std::move(dataset), {.batch_size = 32});
  for (const vg::Batch& batch : loader) metrics.update(model_(batch.x), batch.y);
  return metrics.value();
}

double Training::step() {
  const vg::Batch batch = loader_.next();
  const vg::Variable loss = loss_of(batch);
  if (!std::isfinite(loss.item())) {
    checkpoints_.wait();
    explain_loss(model_, optimizer_.steps() + 1, loss.item(), [&] { return loss_of(batch); });
  }
  loss.backward();
  optimizer_.step();
  optimizer_.zero_grad();
  ema_.update();
  return loss.item();
}
