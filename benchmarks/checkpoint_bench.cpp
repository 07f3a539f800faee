// Measures how fast checkpoints are saved and loaded, in MB (10^6 bytes) of the file per second of CPU time (user and
// system) of the one thread that does it, and nlohmann's document of the decimal file. Prints one line of JSON.
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "support/options.hpp"
#include "voxgrad/framework/checkpoint/checkpoint.hpp"

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

namespace {

double cpu_now() {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

template <class F>
double shortest(int times, F&& f) {
  double best = std::numeric_limits<double>::infinity();
  for (int i = 0; i < times; ++i) {
    const double begin = cpu_now();
    f();
    best = std::min(best, cpu_now() - begin);
  }
  return best;
}

// Normal random numbers of the magnitude of weights, in tensors of 2^18 values.
struct Weights : vg::Module {
  vg::ParamState state;
  Weights(std::int64_t count, vg::DType dtype) {
    vg::random::Generator generator(1);
    constexpr std::int64_t each = 1 << 18;
    for (std::int64_t i = 0; i < count; i += each) {
      const std::int64_t n = std::min(each, count - i);
      state.add(fmt::format("w{}", i / each), vg::random::normal(generator.next(), {n}, 0, 0.05, dtype));
    }
  }
  vg::Variable update(vg::Variable x) override { return x; }
  std::string kind() const override { return "Weights"; }
  void visit(vg::Visitor& v) override { v("state", state); }
};

struct Rates {
  double bytes, save, load;
};

Json json_of(const Rates& r) { return {{"load", r.load}, {"mb", r.bytes / 1e6}, {"save", r.save}}; }

Rates measure(Weights& model, const fs::path& path, vg::Encoding encoding, int times) {
  const double save = shortest(times, [&] { vg::save(model, path, {.encoding = encoding}); });
  const auto bytes = static_cast<double>(fs::file_size(path));
  const double load = shortest(times, [&] { vg::load(model, path); });
  return {bytes, bytes / save / 1e6, bytes / load / 1e6};
}

}  // namespace

int main(int argc, char** argv) {
  double millions = 8;
  int times = 5;
  std::string dtype = "f32", folder = fs::temp_directory_path();
  bool dom = true;
  const auto status =
      bench::parse_options(argc, argv, "Checkpoints: MB of the file a second of CPU time, saving and loading",
                           {{"--millions", &millions, "millions of values in the model", bench::positive()},
                            {"--times", &times, "repetitions; the shortest time counts", bench::positive()},
                            {"--dtype", &dtype, "", bench::one_of({"f32", "f64"})},
                            {"--folder", &folder, "folder for the temporary files", bench::existing_folder()},
                            {"!--no-dom", &dom, "leave nlohmann's document out"}});
  if (status) return *status;

  const fs::path path = fs::path(folder) / fmt::format("checkpoint_bench.{}.json", ::getpid());
  try {
    Weights model(static_cast<std::int64_t>(millions * 1e6), vg::dtype_from_name(dtype));
    const auto raw = static_cast<double>(model.states().numel()) * (dtype == "f64" ? 8 : 4);
    const Rates base64 = measure(model, path, vg::Encoding::base64, times);
    const Rates decimal = measure(model, path, vg::Encoding::decimal, times);
    Json line{{"base64", json_of(base64)},
              {"base64_of_raw", base64.bytes / raw},
              {"decimal", json_of(decimal)},
              {"dtype", dtype}};
    if (dom) {
      Json document;
      const double parse = shortest(2, [&] {
        std::ifstream in(path);
        document = Json::parse(in);
      });
      const double dump = shortest(2, [&] {
        std::ofstream out(path);
        out << document;
      });
      const auto dumped = static_cast<double>(fs::file_size(path));  // written as doubles: more digits
      line["nlohmann"] = {{"load", decimal.bytes / parse / 1e6}, {"save", dumped / dump / 1e6}};
    }
    line["raw_mb"] = raw / 1e6;
    fmt::print("{}\n", line.dump());
  } catch (const std::exception& e) {
    std::fprintf(stderr, "checkpoint_bench: %s\n", e.what());  // fmt::print may throw
    fs::remove(path);
    return 1;
  }
  fs::remove(path);
}
