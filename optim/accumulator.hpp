// GradAccumulator: large batches in small memory. Backward passes add up in each parameter's grad(); every n-th time
// the optimizer steps with their mean.
//
//   vg::GradAccumulator accumulator(optimizer, 4);
//   while (...) {
//     vg::mse_loss(model(batch.x), batch.y).backward();
//     if (accumulator.step()) ema.update();  // true for every 4th: the optimizer has taken a step
//   }
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "voxgrad/optim/optimizer.hpp"

namespace vg {

/// In place of optimizer.step() and optimizer.zero_grad(). With losses that are means over n batches of one size, a
/// step is that of one batch of n times the size (but for what looks at a whole batch, as BatchNorm3d's statistics do);
/// clipping, schedules and steps() know only the steps taken. A parameter without a gradient in some of the passes has
/// 0 there.
///
/// In a checkpoint it is a part, after the optimizer; it holds the gradients added up so far, so that a run goes on to
/// the same bits from between two steps, too.
class GradAccumulator : public Stateful {
 public:
  /// The optimizer must outlive it. Throws ValueError unless every is at least 1.
  GradAccumulator(Optimizer& optimizer, std::int64_t every);

  /// To be called after each backward(). The every-th time the optimizer takes its step with the mean of the gradients
  /// and they are cleared; whether it did. Throws what Optimizer::step() throws, having changed nothing.
  bool step();
  std::int64_t every() const { return every_; }
  /// Passes since the last step of the optimizer, in [0, every).
  std::int64_t count() const { return count_; }

  /// values every, count; parts: path -> the sums by leaf, of the leaves that have one.
  StateDict save_state() const override;
  std::vector<std::string> check_state(const StateDict& state) const override;
  /// Sets the gradients of all the optimizer's parameters.
  void load_state(const StateDict& state) override;

 private:
  Optimizer& optimizer_;
  std::int64_t every_, count_ = 0;
};

}  // namespace vg
