// ReduceOnPlateau: a schedule that lowers the rate once a metric has stopped improving.
//
//   vg::ReduceOnPlateau plateau({.lr = 0.1, .patience = 3});
//   vg::SGD optimizer(model.parameters(), {.lr = plateau});
//   ... once per epoch: plateau.observe(validation_loss);
//   checkpoint.model(model).optimizer(optimizer);  // the optimizer saves the plateau's observations
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "voxgrad/optim/schedule.hpp"

namespace vg {

struct ReduceOnPlateauOptions {
  double lr = detail::must_be_given;   ///< the initial rate
  std::string mode = "min";            ///< "min": lower is better; "max": higher
  double factor = 0.1;                 ///< the rate is multiplied by this; above 0 and below 1
  std::int64_t patience = 10;          ///< observations without improvement that are tolerated; at least 0
  double threshold = 1e-4;             ///< the least change that is an improvement; at least 0
  std::string threshold_mode = "rel";  ///< "rel": `threshold` is a fraction of the best; "abs": an absolute change
  std::int64_t cooldown = 0;           ///< observations after a reduction that are not counted; at least 0
  double min_lr = 0.0;                 ///< the rate is never reduced below this
  double eps = 1e-8;                   ///< a reduction by at most this is skipped; at least 0

  void fields(Fields& f);
};

/// torch's ReduceLROnPlateau. A metric is better than the best so far if it is
///   below best * (1 - threshold) ("min", "rel"), below best - threshold ("min", "abs"),
///   above best * (1 + threshold) ("max", "rel"), above best + threshold ("max", "abs")
/// A NaN is never better. After more than `patience` consecutive observations that are not better, the rate becomes
/// max(min_lr, lr * factor). The optimizer's step count has no effect. ParamGroup's lr_scale is applied afterwards, so
/// it also scales min_lr.
///
/// This is a handle: copies, such as those in optimizers, share the observations. An optimizer saves and loads them.
class ReduceOnPlateau final : public ScheduleWith<ReduceOnPlateauOptions>, public Stateful {
 public:
  explicit ReduceOnPlateau(ReduceOnPlateauOptions options);

  /// Takes the next value of the metric. Returns whether the rate was reduced.
  bool observe(double metric);
  double lr() const { return seen_->lr; }
  /// The best metric so far; before the first one inf ("min") or -inf ("max").
  double best() const { return seen_->best; }

  double at(std::int64_t) const { return seen_->lr; }

  /// The values lr, best, bad_observations and cooldown_left; part settings: the options.
  StateDict save_state() const override;
  std::vector<std::string> check_state(const StateDict& state) const override;
  void load_state(const StateDict& state) override;

 private:
  struct Seen {
    double lr, best;
    std::int64_t bad = 0;            // consecutive observations that were not better
    std::int64_t cooldown_left = 0;  // observations left
  };
  bool is_better(double metric) const;

  std::shared_ptr<Seen> seen_;
};

}  // namespace vg
