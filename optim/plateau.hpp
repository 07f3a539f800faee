// ReduceOnPlateau: a schedule that falls when a metric has stopped improving.
//
//   vg::ReduceOnPlateau plateau({.lr = 0.1, .patience = 3});
//   vg::SGD optimizer(model.parameters(), {.lr = plateau});
//   ... once an epoch: plateau.observe(validation_loss);
//   checkpoint.model(model).optimizer(optimizer);  // what the plateau has observed goes with the optimizer
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "voxgrad/optim/schedule.hpp"

namespace vg {

struct ReduceOnPlateauOptions {
  double lr = detail::must_be_given;   ///< at first
  std::string mode = "min";            ///< "min": lower is better; "max": higher
  double factor = 0.1;                 ///< of each fall; above 0 and below 1
  std::int64_t patience = 10;          ///< observations without improvement that are still let pass; at least 0
  double threshold = 1e-4;             ///< what counts as an improvement; at least 0
  std::string threshold_mode = "rel";  ///< "rel": by the part `threshold` of the best; "abs": by `threshold`
  std::int64_t cooldown = 0;           ///< observations after a fall that do not count; at least 0
  double min_lr = 0.0;                 ///< it never falls below
  double eps = 1e-8;                   ///< a fall by no more than this is left out; at least 0
};

/// torch's ReduceLROnPlateau. A metric is better than the best so far when it is
///   below best * (1 - threshold) ("min", "rel"), below best - threshold ("min", "abs"),
///   above best * (1 + threshold) ("max", "rel"), above best + threshold ("max", "abs")
/// A NaN is not. After more than `patience` observations in a row that are not, the rate falls to max(min_lr, lr *
/// factor). The steps of the optimizer do not count. ParamGroup's lr_scale is applied afterwards, so to min_lr, too.
///
/// A handle: copies, so those in optimizers, share what was observed. An optimizer saves and loads that with itself.
class ReduceOnPlateau final : public Stateful {
 public:
  explicit ReduceOnPlateau(ReduceOnPlateauOptions options);

  /// Takes the next value of the metric; whether the rate fell.
  bool observe(double metric);
  double lr() const { return seen_->lr; }
  /// The best metric so far: inf ("min") or -inf before the first.
  double best() const { return seen_->best; }

  double at(std::int64_t) const { return seen_->lr; }
  /// The options; not what was observed.
  ModuleConfig description() const;

  /// values lr, best, bad_observations, cooldown_left; part settings: the options.
  StateDict save_state() const override;
  std::vector<std::string> check_state(const StateDict& state) const override;
  void load_state(const StateDict& state) override;

 private:
  struct Seen {
    double lr, best;
    std::int64_t bad = 0;            // in a row
    std::int64_t cooldown_left = 0;  // observations
  };
  bool is_better(double metric) const;

  ReduceOnPlateauOptions options_;
  std::shared_ptr<Seen> seen_;
};

}  // namespace vg
