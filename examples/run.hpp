// What the programs that train share: how a run says where it goes on, why it stopped, and what it ends with.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

#include <voxgrad/voxgrad.hpp>

/// Prints which checkpoint of `folder` the run goes on from, after which step, and what was passed over.
void print_resumed(const vg::ResumeInfo& resumed, std::int64_t step, const std::string& folder);

/// The step that gave a loss which is not finite once more, looked at op by op: throws NonFiniteError that names the
/// first such value.
[[noreturn]] void explain_loss(vg::Module& model, std::int64_t step, double loss,
                               const std::function<vg::Variable()>& loss_again);

/// CRC-32 of the tensors' bytes, one after the other; undefined ones are left out.
std::int64_t checksum(std::initializer_list<vg::Tensor> tensors);

/// What differs between the options of a checkpoint's run and those of this one, for a check_state().
class SettingsCheck {
 public:
  void same(const std::string& name, const std::string& was, const std::string& now);
  /// Against the state's "data_crc32", where it has one.
  void same_data(const vg::StateDict& state, std::int64_t now);
  /// A line for each difference, and one that says what to do.
  std::vector<std::string> problems() const;

 private:
  std::vector<std::string> problems_;
};

/// What main() returns: body()'s exit status, or 1 with the message of what it threw on stderr.
int exit_status_of(const std::function<int()>& body);
