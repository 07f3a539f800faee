// Ema: an exponential moving average of parameters, which often tests better than the last of them.
//
//   vg::Ema ema(model.parameters(), {.decay = 0.999});
//   ... optimizer.step(); ema.update();
//   {
//     const vg::EmaGuard scope(ema);     // in here the model has the averages
//     accuracy = evaluate(model);
//   }
//   checkpoint.part("ema", ema);
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "voxgrad/framework/nn/description.hpp"
#include "voxgrad/framework/nn/state.hpp"
#include "voxgrad/optim/fused_step.hpp"

namespace vg {

struct EmaOptions {
  double decay = 0.999;  ///< in [0, 1)
};

/// After each update() average = average + (1 - decay) (value - average); the first update takes the values as they
/// are. That is PyTorch's AveragedModel with get_ema_multi_avg_fn(decay) (torch.optim.swa_utils). Leaves that are not
/// floating (counts, keys) are taken over as they are each time.
class Ema : public Stateful {
 public:
  /// Throws ValueError for a decay outside [0, 1), and when there is no floating leaf.
  explicit Ema(const States& states, EmaOptions options = {});

  /// One step of the average. Throws ValueError, having changed nothing, for a leaf that has changed its dtype or
  /// shape.
  void update();
  std::int64_t updates() const { return updates_; }
  double decay() const { return options_.decay; }
  /// The average of a leaf; before the first update its value when the Ema was made. Throws ValueError for one that
  /// there is not.
  const Tensor& average(std::string_view path, std::string_view leaf) const;

  /// values decay, updates; parts: a path each, with its leaves as tensors (shared until the next update).
  StateDict save_state() const override;
  std::vector<std::string> check_state(const StateDict& state) const override;
  void load_state(const StateDict& state) override;

 private:
  friend class EmaGuard;
  struct Slot {
    std::string path, leaf;
    State state;
    Tensor average;
  };
  void check_leaves(std::string_view where) const;

  EmaOptions options_;
  std::vector<Slot> slots_;
  std::int64_t updates_ = 0;
  detail::FusedStep pass_;  // kept for its memory
};

/// The model has the averages while this lives, then its own values and gradients again. What is changed in its leaves
/// meanwhile is lost.
class EmaGuard {
 public:
  /// Throws ValueError, having changed nothing, for a leaf that has changed its dtype or shape. The Ema must outlive
  /// it.
  explicit EmaGuard(Ema& ema);
  ~EmaGuard();
  EmaGuard(const EmaGuard&) = delete;
  EmaGuard& operator=(const EmaGuard&) = delete;

 private:
  Ema& ema_;
  std::vector<Variable> own_;
};

}  // namespace vg
