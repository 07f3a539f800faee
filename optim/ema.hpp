// Ema: an exponential moving average of parameters, which often tests better than the last parameters.
//
//   vg::Ema ema(model.parameters(), {.decay = 0.999});
//   ... optimizer.step(); ema.update();
//   {
//     const vg::EmaGuard scope(ema);     // in this scope the model has the averages
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

/// Each update() computes average = average + (1 - decay) (value - average); the first one copies the values. This is
/// PyTorch's AveragedModel with get_ema_multi_avg_fn(decay) (torch.optim.swa_utils). Leaves that are not floating
/// (counts, keys) are copied at each update.
class Ema : public Stateful {
 public:
  /// Throws ValueError for a decay outside [0, 1), and if there is no floating leaf.
  explicit Ema(const States& states, EmaOptions options = {});

  /// Updates the average. Throws ValueError, having changed nothing, if a leaf has changed its dtype or shape.
  void update();
  std::int64_t updates() const { return updates_; }
  double decay() const { return options_.decay; }
  /// The average of a leaf; before the first update this is its value when the Ema was made. Throws ValueError if there
  /// is no such leaf.
  const Tensor& average(std::string_view path, std::string_view leaf) const;

  /// The values decay and updates; parts: one per path, with its leaves as tensors (shared until the next update).
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
  detail::FusedStep pass_;  // kept to reuse its memory
};

/// While this lives the model has the averages; afterwards it has its own values and gradients again. Changes to its
/// leaves in between are lost.
class EmaGuard {
 public:
  /// Throws ValueError, having changed nothing, if a leaf has changed its dtype or shape. The Ema must outlive it.
  explicit EmaGuard(Ema& ema);
  ~EmaGuard();
  EmaGuard(const EmaGuard&) = delete;
  EmaGuard& operator=(const EmaGuard&) = delete;

 private:
  Ema& ema_;
  std::vector<Variable> own_;
};

}  // namespace vg
