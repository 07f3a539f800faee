// Measures what the machine could do at most: multiply-adds a second and memory bandwidth, as one JSON line.
#include <unistd.h>

#include <cstdio>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "fma_peak.hpp"
#include "framework/memory.hpp"
#include "framework/threads.hpp"
#include "stopwatch.hpp"

namespace {

using Json = nlohmann::ordered_json;
using vg::memory::Scratch;

double rounded(double value) { return std::stod(fmt::format("{:.4g}", value)); }

// The best rate of work a second when `threads` threads do `work` each.
template <class Task>
double best_rate(double seconds, int threads, double work, Task task) {
  vg::set_num_threads(threads);
  const double ms = bench::shortest_ms(
      seconds, [&] { vg::parallel_for(threads, task); }, [] {});
  return work * threads / ms * 1e-6;  // in 10^9 a second
}

double fma_gflops(const bench::FmaLoop& loop, int threads, double seconds) {
  constexpr std::int64_t rounds = 200'000;  // about a millisecond: what starting threads costs does not show
  return best_rate(seconds, threads, loop.flops * rounds, [&](std::int64_t) { loop.run(rounds); });
}

// Three arrays that no cache holds, as STREAM has them.
class Bandwidth {
 public:
  Bandwidth() : n_(std::max<std::int64_t>(4 * sysconf(_SC_LEVEL3_CACHE_SIZE), 64 << 20) / 8), a_(n_), b_(n_), c_(n_) {
    for (double* p : {a_.data(), b_.data(), c_.data()}) std::fill_n(p, n_, 1.0);
  }

  double read(int threads, double seconds) {
    const std::int64_t part = n_ / threads;
    const auto* const data = reinterpret_cast<const std::uint64_t*>(a_.data());
    return best_rate(seconds, threads, 8.0 * static_cast<double>(part), [=](std::int64_t t) {
      std::uint64_t sum[16] = {};
      for (std::int64_t i = t * part; i + 16 <= (t + 1) * part; i += 16)
        for (int j = 0; j < 16; ++j) sum[j] += data[i + j];
      for (std::uint64_t& s : sum) __asm__ volatile("" : "+r"(s));  // wanted: the reads may not be dropped
    });
  }

  // The bytes of a = b + factor * c; that a store first reads its line is not counted.
  double triad(int threads, double seconds) {
    const std::int64_t part = n_ / threads;
    double* const a = a_.data();
    const double *const b = b_.data(), *const c = c_.data();
    return best_rate(seconds, threads, 24.0 * static_cast<double>(part), [=](std::int64_t t) {
      for (std::int64_t i = t * part; i < (t + 1) * part; ++i) a[i] = b[i] + 3 * c[i];
    });
  }

 private:
  std::int64_t n_;
  Scratch<double> a_, b_, c_;
};

Json measure(int threads, double seconds) {
  Json line;
  for (const int n : threads > 1 ? std::vector{1, threads} : std::vector{1}) {
    const std::string count = std::to_string(n);
    for (const bench::FmaLoop& loop : bench::fma_loops())
      line["fma_gflops"][loop.set][loop.dtype][count] = rounded(fma_gflops(loop, n, seconds));
    Bandwidth memory;
    line["read_gb_s"][count] = rounded(memory.read(n, seconds));
    line["triad_gb_s"][count] = rounded(memory.triad(n, seconds));
  }
  return line;
}

}  // namespace

int main(int argc, char** argv) {
  int threads = vg::num_threads();
  double seconds = 0.1;
  CLI::App app{
      "Measures the peak of multiply-adds (GFLOP/s) and the memory bandwidth (GB/s), with 1 thread and with all."};
  app.add_option("--threads", threads, "Threads")->check(CLI::Range(1, 1024))->capture_default_str();
  app.add_option("--seconds", seconds, "How long each is repeated")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    fmt::print("{}\n", measure(threads, seconds).dump());
    return 0;
  } catch (const std::exception& e) {
    fmt::print(stderr, "error: {}\n", e.what());
    return 1;
  }
}
