// Times whole training steps of small 3-D models: zero_grad, forward, cross-entropy, backward, Adam. train_torch.py is
// the twin in PyTorch.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <voxgrad/voxgrad.hpp>

#include "process_cost.hpp"
#include "stopwatch.hpp"
#include "support/options.hpp"
#include "train_nets.hpp"

namespace {

using Json = nlohmann::ordered_json;

struct Settings {
  std::vector<std::string> models{"unet", "resnet", "cnn", "mednext"};
  int threads = vg::num_threads(), warmup = 3;
  double seconds = 6;
  std::int64_t size = 0, batch = 0;  // 0: the model's own
  std::string powercap = "/sys/class/powercap";
};

template <class M>
std::unique_ptr<vg::Module> made(M model) {
  return std::make_unique<M>(std::move(model));
}

struct Model {
  std::string name;
  std::int64_t batch, size, classes;
  bool a_label_each_voxel;
  std::int64_t divisor;  // the size must be a multiple of it
  std::function<std::unique_ptr<vg::Module>(std::int64_t size, std::int64_t classes)> make;
};

const std::vector<Model>& all_models() {
  using I = std::int64_t;
  static const std::vector<Model> models{
      {"unet", 2, 64, 4, true, 4, [](I, I classes) { return made(bench::UNet(1, classes)); }},
      {"resnet", 32, 28, 11, false, 1, [](I, I classes) { return made(bench::ResNet(classes)); }},
      {"cnn", 32, 16, 10, false, 4, [](I size, I classes) { return made(bench::cnn(size, classes)); }},
      {"mednext", 1, 64, 4, true, 1, [](I, I classes) { return made(bench::MedNeXtBlock(32, classes)); }}};
  return models;
}

// The model with the requested sizes.
Model model_for(const std::string& name, const Settings& settings) {
  Model model = *std::find_if(all_models().begin(), all_models().end(), [&](const Model& m) { return m.name == name; });
  if (settings.size > 0) model.size = settings.size;
  if (settings.batch > 0) model.batch = settings.batch;
  if (model.size % model.divisor != 0)
    throw vg::ValueError(
        fmt::format("--size: got {}; {} takes a multiple of {}", model.size, model.name, model.divisor));
  return model;
}

class Training {
 public:
  explicit Training(const Model& model)
      : net_(model.make(model.size, model.classes)),
        x_(vg::random::normal(vg::random::key_of(1), volume(model, 1))),
        labels_(vg::random::randint(vg::random::key_of(2),
                                    model.a_label_each_voxel ? volume(model, 0) : vg::Shape{model.batch}, 0,
                                    model.classes)),
        optimizer_(net_->parameters(), {.lr = 1e-3}) {
    net_->train();
  }

  std::int64_t parameters() { return net_->parameters().numel(); }

  /// Runs a step and returns the loss before it.
  double step() {
    optimizer_.zero_grad();
    const vg::Variable loss = vg::cross_entropy((*net_)(x_), labels_);
    loss.backward();
    optimizer_.step();
    return loss.item();
  }

 private:
  static vg::Shape volume(const Model& m, std::int64_t channels) {
    vg::Shape shape{m.batch, m.size, m.size, m.size};
    if (channels > 0) shape.push_back(channels);
    return shape;
  }

  std::unique_ptr<vg::Module> net_;
  vg::Tensor x_, labels_;
  vg::Adam optimizer_;
};

// The steps of a training so far: their losses, and their system allocations.
class Steps {
 public:
  explicit Steps(Training& training) : training_(training) {}

  void step() {
    last_ = training_.step();
    if (!std::isfinite(last_)) throw vg::ValueError(fmt::format("the loss of step {} is {}", count_ + 1, last_));
    if (++count_ == 1) first_ = last_;
    if (count_ <= 2) settled_ = vg::memory::stats().from_system;
  }

  double first_loss() const { return first_; }
  double last_loss() const { return last_; }
  /// Since the end of the second step.
  std::int64_t system_allocations() const { return vg::memory::stats().from_system - settled_; }

 private:
  Training& training_;
  double first_ = 0, last_ = 0;
  std::int64_t count_ = 0, settled_ = 0;
};

// The times of the steps in seconds, shortest first: at least 5 steps, until `seconds` have passed.
std::vector<double> timed(Steps& steps, double seconds) {
  constexpr std::size_t fewest = 5;
  std::vector<double> times;
  for (const double start = bench::seconds_now(); bench::seconds_now() - start < seconds || times.size() < fewest;) {
    const double begin = bench::seconds_now();
    steps.step();
    times.push_back(bench::seconds_now() - begin);
  }
  std::sort(times.begin(), times.end());
  return times;
}

// A measured value with its significant digits only.
double rounded(double value) { return std::stod(fmt::format("{:.6g}", value)); }

Json measure(const Model& model, const Settings& settings) {
  vg::random::seed(0);
  vg::memory::release_cached();  // of the previous model
  vg::memory::reset_peak();
  Training training(model);
  Steps steps(training);
  for (int i = 0; i < settings.warmup; ++i) steps.step();
  const bench::EnergyMeter energy(settings.powercap);
  const std::vector<double> times = timed(steps, settings.seconds);
  const auto joules = energy.joules();

  Json line{{"name", model.name}, {"batch", model.batch}, {"size", model.size}, {"threads", vg::num_threads()}};
  line["parameters"] = training.parameters();
  line["loss_first"] = rounded(steps.first_loss());
  line["loss_last"] = rounded(steps.last_loss());
  line["min_ms"] = rounded(times.front() * 1e3);
  line["median_ms"] = rounded(times[times.size() / 2] * 1e3);
  line["steps"] = times.size();
  line["peak_mb"] = rounded(static_cast<double>(bench::peak_resident_bytes()) * 1e-6);
  line["pool_peak_mb"] = rounded(static_cast<double>(vg::memory::stats().peak) * 1e-6);
  line["system_allocations"] = steps.system_allocations();
  const std::int64_t voxels = model.batch * model.size * model.size * model.size;
  line["voxels_per_s"] = rounded(static_cast<double>(voxels) / times.front());
  line["joules_per_step"] = joules ? Json(rounded(*joules / static_cast<double>(times.size()))) : Json(nullptr);
  return line;
}

std::vector<bench::Option> options_into(Settings& s) {
  return {{"--model", &s.models, "unet, resnet, cnn, mednext (default: all); peak_mb needs one model per process",
           bench::one_of({"unet", "resnet", "cnn", "mednext"})},
          {"--threads", &s.threads, "Threads", bench::between(1, 1024), bench::with_default},
          {"--seconds", &s.seconds, "How long steps are timed, at least 5 of them", bench::not_negative(),
           bench::with_default},
          {"--warmup", &s.warmup, "Steps before the timed ones", bench::between(0, 1000), bench::with_default},
          {"--size", &s.size, "Voxels along an edge, in place of the models' own", bench::positive()},
          {"--batch", &s.batch, "Volumes per step, in place of the models' own", bench::positive()},
          {"--powercap", &s.powercap, "Where the kernel's energy counters are", {}, bench::with_default}};
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  const auto status = bench::parse_options(
      argc, argv, "Times training steps of small 3-D models: one JSON line a model.", options_into(settings));
  if (status) return *status;
  try {
    vg::set_num_threads(settings.threads);
    for (const std::string& name : settings.models) {
      fmt::print("{}\n", measure(model_for(name, settings), settings).dump());
      std::fflush(stdout);
    }
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "error: %s\n", e.what());  // fmt::print may throw
    return 1;
  }
}
