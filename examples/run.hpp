// What the programs that train share: how a run says where it goes on, why it stopped, and what it ends with.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include <voxgrad/voxgrad.hpp>

/// Prints which checkpoint of `folder` the run goes on from, after which step, and what was passed over.
void print_resumed(const vg::Resumed& resumed, std::int64_t step, const std::string& folder);

/// The step that gave a loss which is not finite once more, looked at op by op: throws NonFiniteError that names the
/// first such value.
[[noreturn]] void explain_loss(vg::Module& model, std::int64_t step, double loss,
                               const std::function<vg::Variable()>& loss_again);

/// What main() returns: body()'s exit status, or 1 with the message of what it threw on stderr.
int exit_status_of(const std::function<int()>& body);
