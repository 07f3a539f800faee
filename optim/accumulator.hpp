// GradAccumulator: large batches in small memory. Backward passes sum up in each parameter's grad(); at every n-th call
// the optimizer steps with their mean.
//
//   vg::GradAccumulator accumulator(optimizer, 4);
//   while (...) {
//     vg::mse_loss(model(batch.x), batch.y).backward();
//     if (accumulator.step()) ema.update();  // true at every 4th call: the optimizer has stepped
//   }
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "voxgrad/optim/optimizer.hpp"

namespace vg {

/// Replaces optimizer.step() and optimizer.zero_grad(). With losses that are means over n batches of equal size, a step
/// equals that of one batch of n times the size, except for results that depend on a whole batch, such as BatchNorm3d's
/// statistics. Clipping, schedules and steps() count only the steps taken. A parameter without a gradient in some of
/// the passes counts as 0 there.
///
/// In a checkpoint it is a part, loaded after the optimizer. It holds the gradients accumulated so far, so that a run
/// that resumes between two steps also continues with the same bits.
class GradAccumulator : public Stateful {
 public:
  /// The optimizer must outlive it. Throws ValueError unless `every` is at least 1.
  GradAccumulator(Optimizer& optimizer, std::int64_t every);

  /// Call it after each backward(). At every `every`-th call the optimizer steps with the mean of the gradients, which
  /// are then cleared. Returns whether it did. Throws as Optimizer::step() does, having changed nothing.
  bool step();
  std::int64_t every() const { return every_; }
  /// The number of passes since the optimizer's last step, in [0, every).
  std::int64_t count() const { return count_; }

  /// The values every and count; parts: path -> the sums by leaf, for leaves that have one.
  StateDict save_state() const override;
  std::vector<std::string> check_state(const StateDict& state) const override;
  /// Sets the gradients of all the optimizer's parameters.
  void load_state(const StateDict& state) override;

 private:
  Optimizer& optimizer_;
  std::int64_t every_, count_ = 0;
};

}  // namespace vg
