#include "run.hpp"

#include <cstdio>

#include <fmt/format.h>

void print_resumed(const vg::Resumed& resumed, std::int64_t step, const std::string& folder) {
  for (const auto& skipped : resumed.skipped) fmt::print("Passed over: {}\n", skipped.why);
  if (resumed)
    fmt::print("Resuming {} after step {}\n", resumed.path.string(), step);
  else
    fmt::print("No checkpoint in {}: a fresh start\n", folder);
}

void explain_loss(vg::Module& model, std::int64_t step, double loss, const std::function<vg::Variable()>& loss_again) {
  vg::NanFinder finder(model);
  finder.step(step);
  loss_again().backward();
  throw vg::NonFiniteError(fmt::format("step {}: the loss is {}, which the same step does not give again", step, loss));
}

int exit_status_of(const std::function<int()>& body) {
  try {
    return body();
  } catch (const vg::NonFiniteError& e) {
    std::fflush(stdout);
    fmt::print(stderr,
               "error: the training met a value that is not finite and stopped; checkpoints stay as they were\n{}\n",
               e.what());
  } catch (const std::exception& e) {
    std::fflush(stdout);
    fmt::print(stderr, "error: {}\n", e.what());
  }
  return 1;
}
