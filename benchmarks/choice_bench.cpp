// How far the algorithm that Conv3d chooses is from the best forced one: for each problem and pass one JSON line with
// the shortest time of every algorithm that applies. The algorithms run in turn, round by round, so that a slow moment
// of the machine affects all of them.
#include <cstdio>
#include <iostream>
#include <limits>
#include <string>
#include <vector>

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
#include "voxgrad/framework/kernels/common/indirection.hpp"
#include "voxgrad/framework/kernels/common/kernel_table.hpp"
#include "voxgrad/framework/kernels/conv3d.hpp"
#include "voxgrad/framework/kernels/cost_model.hpp"
#include "voxgrad/framework/kernels/dispatch/kernel_set.hpp"

namespace {

using Json = nlohmann::ordered_json;
using vg::kernels::Algorithm;

struct Options {
  std::string problems = "-", kernels;
  int threads = vg::num_threads(), rounds = 7;
  double worst = std::numeric_limits<double>::infinity();
};

struct Candidate {
  std::string name;
  Algorithm runs;  // what runs when this one is forced: the direct one where it does not apply
  double ms = std::numeric_limits<double>::infinity();
};

// A pass of a problem in f32.
class Run {
 public:
  Run(const vg::kernels::Conv3dProblem& p, vg::kernels::Pass pass)
      : p_(p), pass_(pass), x_(bench::x_size(p)), w_(bench::w_size(p)), y_(bench::y_size(p)) {
    bench::fill(x_.data(), bench::x_size(p), 1);
    bench::fill(w_.data(), bench::w_size(p), 2);
    bench::fill(y_.data(), bench::y_size(p), 3);
  }

  void operator()() {
    using namespace vg::kernels;
    if (pass_ == Pass::forward) return conv3d_forward<float>(p_, x_.data(), w_.data(), y_.data());
    if (pass_ == Pass::grad_input) return conv3d_grad_input<float>(p_, y_.data(), w_.data(), x_.data());
    conv3d_grad_weight<float>(p_, x_.data(), y_.data(), w_.data());
  }

  /// The algorithm that runs for this pass now.
  Algorithm chosen() const {
    const std::int64_t lanes = vg::kernels::current_table<float>().lanes;
    const vg::kernels::Conv3dProblem p = vg::kernels::collapsed(p_);
    return vg::kernels::algorithm_of(pass_ == vg::kernels::Pass::grad_input ? vg::kernels::transposed(p) : p, lanes,
                                     pass_);
  }

 private:
  const vg::kernels::Conv3dProblem& p_;
  vg::kernels::Pass pass_;
  vg::memory::Scratch<float> x_, w_, y_;
};

Json measure(const bench::Problem& problem, vg::kernels::Pass pass, const char* pass_name, int rounds) {
  Run run(problem.sizes, pass);
  std::vector<Candidate> candidates;
  for (const std::string& name : vg::conv3d_algorithms()) {
    if (name == "auto") continue;
    const vg::Conv3dAlgorithmGuard forced(name);
    if (const Algorithm runs = run.chosen(); runs != Algorithm::direct || name == "direct")
      candidates.push_back({name, runs});
  }
  const vg::Conv3dAlgorithmGuard automatic("auto");
  const Algorithm chosen = run.chosen();
  for (int round = -1; round < rounds; ++round)  // round -1 warms up
    for (Candidate& c : candidates) {
      const vg::Conv3dAlgorithmGuard forced(c.name);
      const double begin = bench::seconds_now();
      run();
      if (round >= 0) c.ms = std::min(c.ms, 1e3 * (bench::seconds_now() - begin));
    }
  Json times;
  double best = std::numeric_limits<double>::infinity(), own = best;
  std::string chosen_name;
  for (const Candidate& c : candidates) {
    times[c.name] = std::stod(fmt::format("{:.4g}", c.ms));
    best = std::min(best, c.ms);
    if (c.runs == chosen) own = c.ms, chosen_name = c.name;
  }
  return {{"name", problem.name},
          {"pass", pass_name},
          {"chosen", chosen_name},
          {"ratio", std::stod(fmt::format("{:.3f}", own / best))},
          {"ms", times}};
}

// Returns the number of errors and of choices that are slower than `worst` times the best.
int answer_all(std::istream& in, const Options& o) {
  constexpr vg::kernels::Pass passes[] = {vg::kernels::Pass::forward, vg::kernels::Pass::grad_input,
                                          vg::kernels::Pass::grad_weight};
  int bad = 0;
  for (std::string text; std::getline(in, text);) {
    if (text.find_first_not_of(" \t\r") == std::string::npos) continue;
    for (int i = 0; i < 3; ++i) {
      Json line;
      try {
        line = measure(bench::parse_problem(text), passes[i], bench::pass_names[i], o.rounds);
        bad += line["ratio"].get<double>() > o.worst;
      } catch (const std::exception& e) {
        line = {{"error", e.what()}};
        ++bad;
      }
      std::cout << line.dump() << std::endl;
    }
  }
  return bad;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  const auto status = bench::parse_options(
      argc, argv,
      "Times the algorithm that Conv3d chooses against each forced one: one JSON line per problem and pass.",
      {{"--problems",
        &options.problems,
        "A file of problems, one JSON object per line; - reads them from stdin",
        {},
        bench::with_default},
       {"--threads", &options.threads, "Threads", bench::between(1, 1024), bench::with_default},
       {"--kernels", &options.kernels, "Instruction set: avx512, avx2 or portable (default: the best one)"},
       {"--rounds", &options.rounds, "Calls of each algorithm, in turn", bench::between(1, 1000), bench::with_default},
       {"--worst", &options.worst,
        "Exit with 1 where the chosen algorithm takes more than this ratio of the best time"}});
  if (status) return *status;
  return bench::with_problems(options.problems, [&](std::istream& lines) {
    vg::set_num_threads(options.threads);
    if (!options.kernels.empty()) vg::use_kernel_set(options.kernels);
    return answer_all(lines, options);
  });
}
