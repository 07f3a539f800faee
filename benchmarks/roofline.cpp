// Measures the limits of the machine: multiply-adds per second and memory bandwidth. Prints one JSON line.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <numeric>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "fma_peak.hpp"
#include "stopwatch.hpp"
#include "support/options.hpp"
#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/base/threads.hpp"

namespace {

using Json = nlohmann::ordered_json;
using vg::memory::Scratch;

double rounded(double value) { return std::stod(fmt::format("{:.4g}", value)); }

// The best rate, in units of work per second, if each of `threads` threads does `work`.
template <class Task>
double best_rate(double seconds, int threads, double work, Task task) {
  vg::set_num_threads(threads);
  const double ms = bench::shortest_ms(
      seconds, [&] { vg::parallel_for(threads, task); }, [] {});
  return work * threads / ms * 1e-6;  // in 10^9 per second
}

// The sum of the best rates of the threads, measured while all of them run. On a shared machine there is hardly a
// moment when no thread is interrupted.
double fma_gflops(const bench::FmaLoop& loop, int threads, double seconds) {
  constexpr std::int64_t rounds = 50'000;  // a fraction of a millisecond
  std::vector<double> rates(static_cast<std::size_t>(threads));
  std::atomic<bool> one_ended = false;
  vg::set_num_threads(threads);
  vg::parallel_for(threads, [&](std::int64_t t) {
    double& best = rates[static_cast<std::size_t>(t)];
    loop.run(rounds);
    for (const double start = bench::seconds_now(); bench::seconds_now() - start < seconds || best == 0;) {
      const double begin = bench::seconds_now();
      loop.run(rounds);
      const double rate = loop.flops * static_cast<double>(rounds) / (bench::seconds_now() - begin) * 1e-9;
      if (!one_ended || best == 0) best = std::max(best, rate);
    }
    one_ended = true;
  });
  return std::accumulate(rates.begin(), rates.end(), 0.0);
}

// Three arrays that exceed every cache, as in the benchmark STREAM.
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
      for (std::uint64_t& s : sum) __asm__ volatile("" : "+r"(s));  // keeps the compiler from removing the reads
    });
  }

  // Counts the bytes of a = b + factor * c, without the reads of the lines that are stored to.
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
  Bandwidth memory;
  for (const int n : threads > 1 ? std::vector{1, threads} : std::vector{1}) {
    const std::string count = std::to_string(n);
    for (const bench::FmaLoop& loop : bench::fma_loops())
      line["fma_gflops"][loop.set][loop.dtype][count] = rounded(fma_gflops(loop, n, seconds));
    line["read_gb_s"][count] = rounded(memory.read(n, seconds));
    line["triad_gb_s"][count] = rounded(memory.triad(n, seconds));
  }
  return line;
}

}  // namespace

int main(int argc, char** argv) {
  int threads = vg::num_threads();
  double seconds = 0.1;
  const auto status = bench::parse_options(
      argc, argv,
      "Measures the peak of multiply-adds (GFLOP/s) and the memory bandwidth (GB/s), with 1 thread and with all.",
      {{"--threads", &threads, "Threads", bench::between(1, 1024), bench::with_default},
       {"--seconds", &seconds, "How long each measurement is repeated", bench::not_negative(), bench::with_default}});
  if (status) return *status;
  try {
    fmt::print("{}\n", measure(threads, seconds).dump());
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "error: %s\n", e.what());  // fmt::print may throw
    return 1;
  }
}
