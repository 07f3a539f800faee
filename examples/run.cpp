#include "run.hpp"

#include <cstdio>

#include <fmt/format.h>
#include <zlib.h>

void print_resumed(const vg::ResumeInfo& resumed, std::int64_t step, const std::string& folder) {
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
  throw vg::NonFiniteError(fmt::format("step {}: the loss is {}, and repeating the step gives a finite one", step, loss));
}

std::int64_t checksum(std::initializer_list<vg::Tensor> tensors) {
  uLong sum = ::crc32_z(0, nullptr, 0);
  for (const vg::Tensor& t : tensors)
    if (t.defined() && t.bytes() > 0)
      sum = ::crc32_z(sum, static_cast<const Bytef*>(t.raw()), static_cast<std::size_t>(t.bytes()));
  return static_cast<std::int64_t>(sum);
}

void SettingsCheck::same(const std::string& name, const std::string& was, const std::string& now) {
  if (was != now) problems_.push_back(fmt::format("{}: the checkpoint's run has {}, this run has {}", name, was, now));
}

void SettingsCheck::same_data(const vg::StateDict& state, std::int64_t now) {
  if (!state.has_value("data_crc32")) return;  // a checkpoint of an older program
  const auto was = state.get<std::int64_t>("data_crc32");
  if (was != now)
    problems_.push_back(fmt::format(
        "data: the checkpoint's run had other data of the same size; their CRC-32 was {} and is now {}", was, now));
}

std::vector<std::string> SettingsCheck::problems() const {
  std::vector<std::string> lines = problems_;
  if (!lines.empty()) lines.emplace_back("(to continue with the settings of this run: --allow-other-settings)");
  return lines;
}

// Uses fprintf, because fmt::print throws if a message cannot be written, and no caller would catch that.
int exit_status_of(const std::function<int()>& body) {
  try {
    return body();
  } catch (const vg::NonFiniteError& e) {
    std::fflush(stdout);
    std::fprintf(stderr,
                 "error: the training met a value that is not finite and stopped; checkpoints stay as they were\n%s\n",
                 e.what());
  } catch (const std::exception& e) {
    std::fflush(stdout);
    std::fprintf(stderr, "error: %s\n", e.what());
  }
  return 1;
}
