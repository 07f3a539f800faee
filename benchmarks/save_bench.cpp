// Measures how long a save delays training: the time of the call itself, and the additional time of the next step and
// of its optimizer update.
//
// It trains a network of --width x --width layers with AdamW. There are three ways to save during training:
//   shared    tensors stay shared, and the optimizer copies those that the thread still uses
//   detached  the same, except that the thread copies first (vg::AsyncCheckpointWriter)
//   copied    everything is copied before the call returns
// Prints one JSON line per way: medians and the largest of --saves saves, in ms.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <voxgrad/voxgrad.hpp>

#include "stopwatch.hpp"
#include "support/options.hpp"

namespace {

struct Net : vg::Module {
  std::vector<std::shared_ptr<vg::Linear>> layers;
  Net(int count, std::int64_t width) {
    for (int i = 0; i < count; ++i)
      layers.push_back(std::make_shared<vg::Linear>(vg::LinearOptions{.in_size = {width}, .out_features = width}));
  }
  vg::Variable update(vg::Variable x) override {
    vg::Variable y = x;
    for (const auto& layer : layers) y = vg::tanh((*layer)(y));
    return y;
  }
  std::string kind() const override { return "Net"; }
  void visit(vg::Visitor& v) override { v("layers", layers); }
};

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

struct Bench {
  Net model;
  vg::Tensor x;
  vg::AdamW optimizer;
  vg::Checkpoint checkpoint;

  Bench(int layers, std::int64_t width, std::int64_t batch)
      : model(layers, width), x(vg::random::normal({1, 2}, {batch, width})), optimizer(model.parameters()) {
    checkpoint.model(model).optimizer(optimizer);
  }

  struct Times {
    double whole, update;
  };
  // Times of a step and of its optimizer update in ms. The update copies the tensors that are still shared.
  Times step_ms() {
    const double begin = bench::seconds_now();
    vg::mean(vg::square(model(x))).backward();
    const double middle = bench::seconds_now();
    optimizer.step();
    const double end = bench::seconds_now();
    optimizer.zero_grad();
    return {(end - begin) * 1e3, (end - middle) * 1e3};
  }

  // The time in ms until training may continue.
  double save_ms(const std::string& way, vg::AsyncCheckpointWriter& saving, const std::filesystem::path& path) {
    saving.wait();
    const double begin = bench::seconds_now();
    if (way == "detached") {
      saving.save(checkpoint, path);
    } else {
      auto snapshot = std::make_shared<vg::Snapshot>(checkpoint.snapshot());
      if (way == "copied") snapshot->detach();
      saving.run([snapshot, path] { snapshot->save(path); });
    }
    return (bench::seconds_now() - begin) * 1e3;
  }

  std::string measure(const std::string& way, int saves, const std::filesystem::path& path) {
    std::vector<double> step, update, call, next_step, next_update;
    vg::AsyncCheckpointWriter saving;
    for (int i = 0; i < 5; ++i) step_ms();
    for (int i = 0; i < saves; ++i) {
      saving.wait();
      step_ms();
      const Times plain = step_ms();
      step.push_back(plain.whole), update.push_back(plain.update);
      call.push_back(save_ms(way, saving, path));
      const Times next = step_ms();
      next_step.push_back(next.whole), next_update.push_back(next.update);
    }
    saving.wait();
    const auto largest = [](const std::vector<double>& v) { return *std::max_element(v.begin(), v.end()); };
    return fmt::format(
        R"({{"way": "{}", "parameters": {}, "call_ms": {:.3f}, "call_largest_ms": {:.3f}, "update_ms": {:.2f}, )"
        R"("next_update_ms": {:.2f}, "next_update_largest_ms": {:.2f}, "step_ms": {:.1f}, "next_step_ms": {:.1f}, )"
        R"("file_mb": {:.1f}}})",
        way, model.parameters().numel(), median(call), largest(call), median(update), median(next_update),
        largest(next_update), median(step), median(next_step),
        static_cast<double>(std::filesystem::file_size(path)) / 1e6);
  }
};

}  // namespace

int main(int argc, char** argv) {
  int layers = 5, saves = 9, threads = 0;
  std::int64_t width = 1000, batch = 256;
  std::string folder = std::filesystem::temp_directory_path().string();
  const auto status =
      bench::parse_options(argc, argv, "Measures how long training waits for a save in the background.",
                           {{"--layers", &layers, "Linear layers", bench::positive(), bench::with_default},
                            {"--width", &width, "Features per layer", bench::positive(), bench::with_default},
                            {"--batch", &batch, "Rows per step", bench::positive(), bench::with_default},
                            {"--saves", &saves, "Saves per way", bench::positive(), bench::with_default},
                            {"--threads", &threads, "Threads (default: all cores)", bench::between(1, 1024)},
                            {"--folder", &folder, "Where the file is written", {}, bench::with_default}});
  if (status) return *status;
  try {
    if (threads > 0) vg::set_num_threads(threads);
    Bench run(layers, width, batch);
    const std::filesystem::path path = std::filesystem::path(folder) / "save_bench.json";
    for (const char* way : {"shared", "detached", "copied"}) {
      fmt::print("{}\n", run.measure(way, saves, path));
      std::fflush(stdout);
    }
    std::filesystem::remove(path);
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "error: %s\n", e.what());  // fmt::print may throw
    return 1;
  }
}
