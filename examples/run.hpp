// Code that the training programs share: messages about resuming and stopping, and the exit status.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

#include <voxgrad/voxgrad.hpp>

/// Prints from which checkpoint of `folder` and after which step the run continues, and which files were skipped.
void print_resumed(const vg::ResumeInfo& resumed, std::int64_t step, const std::string& folder);

/// Runs the step that gave a non-finite loss once more and checks each op: throws NonFiniteError with the name of the
/// first value that is not finite.
[[noreturn]] void explain_loss(vg::Module& model, std::int64_t step, double loss,
                               const std::function<vg::Variable()>& loss_again);

/// CRC-32 of the bytes of the tensors in order; undefined tensors are left out.
std::int64_t checksum(std::initializer_list<vg::Tensor> tensors);

/// Collects the differences between the options of a checkpoint's run and those of this run, for a check_state().
class SettingsCheck {
 public:
  void same(const std::string& name, const std::string& was, const std::string& now);
  /// Compares `now` with the state's "data_crc32", if it has one.
  void same_data(const vg::StateDict& state, std::int64_t now);
  /// One line per difference, and one that says what to do.
  std::vector<std::string> problems() const;

 private:
  std::vector<std::string> problems_;
};

/// The exit status for main(): that of body(), or 1 after an exception, with its message on stderr.
int exit_status_of(const std::function<int()>& body);
