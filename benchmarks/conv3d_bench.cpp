// Times the three passes of Conv3d on problems, prints one JSON line per problem, and checks every timed result
// against f64.
#include <unistd.h>

#include <cstdio>
#include <iostream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "check.hpp"
#include "problem.hpp"
#include "stopwatch.hpp"
#include "support/options.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/base/threads.hpp"
#include "voxgrad/framework/kernels/algorithm.hpp"
#include "voxgrad/framework/kernels/bf16/bf16.hpp"
#include "voxgrad/framework/kernels/conv3d.hpp"
#include "voxgrad/framework/kernels/dispatch/bf16_set.hpp"
#include "voxgrad/framework/kernels/dispatch/kernel_set.hpp"

namespace {

using bench::Pass;
using bench::w_size;
using bench::x_size;
using bench::y_size;
using Json = nlohmann::ordered_json;
using vg::memory::Scratch;

struct Options {
  std::string problems = "-", dtype, kernels, bf16_kernels, algorithm;
  std::vector<std::string> passes{std::begin(bench::pass_names), std::end(bench::pass_names)};
  int threads = vg::num_threads();
  double seconds = 0.25;
  bool cold = false;
};

// A time or an error with its significant digits only.
double rounded(double value) { return std::stod(fmt::format("{:.5g}", value)); }

// Rounds to values that bf16 represents exactly, so that the check can use them unchanged.
void round_to_bf16(float* values, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) values[i] = vg::kernels::from_bf16(vg::kernels::to_bf16(values[i]));
}

// Empties the caches: each thread writes twice the size of the last-level cache, which also evicts the caches of its
// core.
void flush_caches() {
  static const std::int64_t bytes = std::max<std::int64_t>(2 * sysconf(_SC_LEVEL3_CACHE_SIZE), 64 << 20);
  static Scratch<char> buffer(bytes * vg::num_threads());
  vg::parallel_for(vg::num_threads(), [&](std::int64_t t) {
    char* const own = buffer.data() + t * bytes;
    for (std::int64_t i = 0; i < bytes; i += 64) ++own[i];
  });
}

// The passes on tensors of T.
template <class T>
struct InFull {
  static constexpr auto forward = vg::kernels::conv3d_forward<T>;
  static constexpr auto grad_input = vg::kernels::conv3d_grad_input<T>;
  static constexpr auto grad_weight = vg::kernels::conv3d_grad_weight<T>;
  static void prepare(T*, std::int64_t) {}
};
struct InBf16 {
  static constexpr auto forward = [](const auto&... operands) { vg::kernels::conv3d_forward_bf16(operands...); };
  static constexpr auto grad_input = vg::kernels::conv3d_grad_input_bf16;
  static constexpr auto grad_weight = vg::kernels::conv3d_grad_weight_bf16;
  static void prepare(float* values, std::int64_t n) { round_to_bf16(values, n); }
};

template <class T, class Compute>
class Run {
 public:
  Run(const vg::kernels::Conv3dProblem& p, const Options& options)
      : p_(p), options_(options), x_(x_size(p)), w_(w_size(p)), dy_(y_size(p)) {
    bench::fill(x_.data(), x_size(p), 1);
    bench::fill(w_.data(), w_size(p), 2);
    bench::fill(dy_.data(), y_size(p), 3);
    Compute::prepare(x_.data(), x_size(p));
    Compute::prepare(w_.data(), w_size(p));
    Compute::prepare(dy_.data(), y_size(p));
  }

  void measure(Pass pass, Json& line) {
    const std::int64_t n = pass == Pass::forward ? y_size(p_) : pass == Pass::grad_input ? x_size(p_) : w_size(p_);
    Scratch<T> memory(n);
    T* const out = memory.data();
    std::fill_n(out, n, static_cast<T>(std::numeric_limits<float>::quiet_NaN()));  // finds missing outputs
    const std::string name = bench::pass_names[static_cast<int>(pass)];
    const auto cool = [&] {
      if (options_.cold) flush_caches();
    };
    line[name] = rounded(bench::shortest_ms(
        options_.seconds, [&] { call(pass, out); }, cool));
    const bench::Error error = check(pass, out);
    line["error_" + name] = rounded(error.largest);
    if (error.largest <= error.tolerance) return;
    const std::string before = line.contains("error") ? line["error"].get<std::string>() + "; " : "";
    line["error"] = fmt::format("{}{}: differs from f64 by {:.2e} of the results' rms; rounding explains {:.2e}",
                                before, name, error.largest, error.tolerance);
  }

 private:
  void call(Pass pass, T* out) {
    switch (pass) {
      case Pass::forward:
        return Compute::forward(p_, x_.data(), w_.data(), out);
      case Pass::grad_input:
        return Compute::grad_input(p_, dy_.data(), w_.data(), out);
      case Pass::grad_weight:
        return Compute::grad_weight(p_, x_.data(), dy_.data(), out);
    }
  }

  bench::Error check(Pass pass, const T* out) {
    bench::Tensors<T> t{x_.data(), w_.data(), dy_.data()};
    (pass == Pass::forward ? t.y : pass == Pass::grad_input ? t.x : t.w) = out;
    return bench::Checker<T>(p_, t).check(pass);
  }

  const vg::kernels::Conv3dProblem& p_;
  const Options& options_;
  Scratch<T> x_, w_, dy_;
};

template <class T, class Compute = InFull<T>>
void measure(const bench::Problem& problem, const Options& options, Json& line) {
  Run<T, Compute> run(problem.sizes, options);
  for (int i = 0; i < 3; ++i) {
    const auto& wanted = options.passes;
    if (std::find(wanted.begin(), wanted.end(), bench::pass_names[i]) != wanted.end())
      run.measure(static_cast<Pass>(i), line);
  }
}

// Add a new dtype here.
void measure_as(const std::string& dtype, const bench::Problem& problem, const Options& options, Json& line) {
  if (dtype == "f32") return measure<float>(problem, options, line);
  if (dtype == "f64") return measure<double>(problem, options, line);
  if (dtype == "bf16") return measure<float, InBf16>(problem, options, line);  // f32 tensors, multiplied in bf16
  throw vg::ValueError(fmt::format("[problem] dtype: got {}; must be f32, f64 or bf16", dtype));
}

// The JSON line of a problem; after a failure it has the key "error".
Json answer(const std::string& text, const Options& options) {
  Json line;
  try {
    const bench::Problem problem = bench::parse_problem(text);
    const std::string dtype = options.dtype.empty() ? problem.dtype : options.dtype;
    line["name"] = problem.name;
    line["flops"] = bench::flops(problem.sizes);
    line["dtype"] = dtype;
    measure_as(dtype, problem, options, line);
  } catch (const std::exception& e) {
    line["error"] = e.what();
  }
  return line;
}

// Answers each line at once, because the calling program waits for the answer. Returns the number of errors.
int answer_all(std::istream& in, const Options& options) {
  int errors = 0, number = 0;
  for (std::string text; std::getline(in, text);) {
    ++number;
    if (text.find_first_not_of(" \t\r") == std::string::npos) continue;
    const Json line = answer(text, options);
    std::cout << line.dump() << std::endl;
    if (!line.contains("error")) continue;
    ++errors;
    std::fprintf(stderr, "error: %s:%d: %s\n", options.problems.c_str(), number,
                 line["error"].get<std::string>().c_str());
  }
  return errors;
}

std::vector<bench::Option> options_into(Options& o) {
  return {
      {"--problems",
       &o.problems,
       "A file of problems, one JSON object per line; - reads them from stdin",
       {},
       bench::with_default},
      {"--passes", &o.passes, "forward, grad_input, grad_weight",
       bench::one_of({std::begin(bench::pass_names), std::end(bench::pass_names)})},
      {"--threads", &o.threads, "Threads", bench::between(1, 1024), bench::with_default},
      {"--kernels", &o.kernels, "Instruction set: avx512, avx2 or portable (default: the best one)"},
      {"--bf16-kernels", &o.bf16_kernels, "amx, avx512bf16, emulated or portable (default: the best one)"},
      {"--algorithm", &o.algorithm, "auto, direct, winograd, winograd4 or winograd4x4x4"},
      {"--dtype", &o.dtype, "f32, f64 or bf16, in place of the problems' own", bench::one_of({"f32", "f64", "bf16"})},
      {"--seconds", &o.seconds, "How long each pass is repeated", bench::not_negative(), bench::with_default},
      {"--cold", &o.cold, "Flush the caches before each repetition"}};
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  const auto status = bench::parse_options(
      argc, argv, "Times Conv3d's passes (shortest ms) and checks the results against f64: one JSON line per problem.",
      options_into(options));
  if (status) return *status;
  return bench::with_problems(options.problems, [&](std::istream& lines) {
    vg::set_num_threads(options.threads);
    if (!options.kernels.empty()) vg::use_kernel_set(options.kernels);
    if (!options.bf16_kernels.empty()) vg::use_bf16_kernel_set(options.bf16_kernels);
    if (!options.algorithm.empty()) vg::use_conv3d_algorithm(options.algorithm);
    return answer_all(lines, options);
  });
}
