// Learning-rate schedules: small values, each a pure function of the step number t = 0, 1, 2, ... (t = 0 is the first
// step), so that a checkpoint needs only the step. The exception is ReduceOnPlateau (optim/plateau.hpp), which has a
// state. `lr` of an optimizer takes a number or any of these:
//
//   const vg::CosineWarmup lr({.lr = 0.1, .warmup_steps = 10, .total_steps = 200});
//   vg::SGD optimizer(model.parameters(), {.lr = lr});
//
// Your own schedule can be any copyable type with `double at(std::int64_t step) const` (or a ScheduleValue) and
// `vg::ModuleConfig description() const`, whose kind and options distinguish it from every other schedule. A schedule
// with further state must be a handle whose copies share that state, and a vg::Stateful; then the optimizer saves and
// loads the state with its own, as for ReduceOnPlateau.
#pragma once

#include <concepts>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "voxgrad/framework/nn/fields.hpp"

namespace vg {

/// A schedule's values for one step.
struct ScheduleValue {
  double lr;
  /// Set by a schedule that cycles the momentum: replaces the momentum of SGD and RMSProp and the first beta of the
  /// others (Adagrad has neither and refuses it). It is set at every step or at none.
  std::optional<double> momentum;
  ScheduleValue(double rate, std::optional<double> cycled = {})
      : lr(rate), momentum(cycled) {}  // NOLINT: a bare rate will do
};

namespace detail {
/// The default of an option that must be given: no check accepts NaN.
inline constexpr double must_be_given = std::numeric_limits<double>::quiet_NaN();

template <class S>
concept ScheduleLike = requires(const S& schedule, std::int64_t step) {
  { schedule.at(step) } -> std::convertible_to<ScheduleValue>;
  { schedule.description() } -> std::convertible_to<ModuleConfig>;
};
}  // namespace detail

/// Holds any schedule. Copies share the schedule inside.
class Schedule {
 public:
  /// Constant(lr).
  Schedule(double lr);  // NOLINT: a number converts to a constant schedule
  template <class S>
  requires(!std::same_as<S, Schedule> && !std::is_arithmetic_v<S> && detail::ScheduleLike<S>) Schedule(S schedule)
      : inside_(std::make_shared<Of<S>>(std::move(schedule))) {}  // NOLINT: implicit on purpose

  /// Throws ValueError for a negative step.
  ScheduleValue at(std::int64_t step) const;
  /// The schedule's kind and options.
  ModuleConfig description() const { return inside_->description(); }
  /// Whether the schedule also sets the momentum.
  bool gives_momentum() const { return at(0).momentum.has_value(); }
  /// The state of the schedule, which the optimizer saves; null if it depends only on the step.
  Stateful* saveable() const { return inside_->saveable(); }

 private:
  struct Any {
    virtual ~Any() = default;
    virtual ScheduleValue at(std::int64_t step) const = 0;
    virtual ModuleConfig description() const = 0;
    virtual Stateful* saveable() = 0;
  };
  template <class S>
  struct Of final : Any {
    explicit Of(S schedule) : schedule_(std::move(schedule)) {}
    ScheduleValue at(std::int64_t step) const override { return schedule_.at(step); }
    ModuleConfig description() const override { return schedule_.description(); }
    Stateful* saveable() override {
      if constexpr (std::derived_from<S, Stateful>)
        return &schedule_;
      else
        return nullptr;
    }
    S schedule_;
  };
  std::shared_ptr<Any> inside_;
};

/// A schedule with options O: it keeps the aggregate, whose list of members (framework/nn/fields.hpp) checks it and
/// gives its description.
template <class O>
class ScheduleWith {
 public:
  ModuleConfig description() const { return {std::string(kind_), saved_fields(options_), {}}; }

 protected:
  ScheduleWith(std::string_view kind, O options) : kind_(kind), options_(std::move(options)) {
    check_fields(std::string(kind), options_);
  }

  std::string_view kind_;
  O options_;
};

struct ConstantOptions {
  double lr = detail::must_be_given;
  void fields(Fields& f) { f("lr", lr, finite_from_0); }
};
/// A constant rate.
class Constant : public ScheduleWith<ConstantOptions> {
 public:
  /// Throws ValueError unless lr is finite and at least 0, as all schedules do for their rates.
  explicit Constant(double lr) : ScheduleWith("Constant", {lr}) {}
  double at(std::int64_t) const { return options_.lr; }
};

struct StepDecayOptions {
  double lr = detail::must_be_given;
  std::int64_t step_size = 0;  ///< at least 1; must be given
  double gamma = 0.1;          ///< above 0

  void fields(Fields& f) {
    f("lr", lr, finite_from_0);
    f("step_size", step_size, at_least(1));
    f("gamma", gamma, finite_above_0);
  }
};
/// lr * gamma^floor(t / step_size), without end. torch's StepLR.
class StepDecay : public ScheduleWith<StepDecayOptions> {
 public:
  explicit StepDecay(StepDecayOptions options) : ScheduleWith("StepDecay", std::move(options)) {}
  double at(std::int64_t step) const;
};

struct MultiStepDecayOptions {
  double lr = detail::must_be_given;
  std::vector<std::int64_t> milestones{};  ///< at least 0, ascending (equal ones count twice)
  double gamma = 0.1;                      ///< above 0

  void fields(Fields& f);
};
/// lr * gamma^(number of milestones <= t). torch's MultiStepLR.
class MultiStepDecay : public ScheduleWith<MultiStepDecayOptions> {
 public:
  explicit MultiStepDecay(MultiStepDecayOptions options) : ScheduleWith("MultiStepDecay", std::move(options)) {}
  double at(std::int64_t step) const;
};

struct ExponentialOptions {
  double lr = detail::must_be_given;
  double gamma = detail::must_be_given;  ///< above 0

  void fields(Fields& f) {
    f("lr", lr, finite_from_0);
    f("gamma", gamma, finite_above_0);
  }
};
/// lr * gamma^t, without end. torch's ExponentialLR.
class Exponential : public ScheduleWith<ExponentialOptions> {
 public:
  explicit Exponential(ExponentialOptions options) : ScheduleWith("Exponential", std::move(options)) {}
  double at(std::int64_t step) const;
};

struct CosineWarmupOptions {
  double lr = detail::must_be_given;  ///< reached at the end of the warm-up
  std::int64_t warmup_steps = 0;      ///< in [0, total_steps)
  std::int64_t total_steps = 0;       ///< must be given
  double warmup_start_lr = 0.0;
  double eta_min = 0.0;  ///< the rate at t = total_steps and after it

  void fields(Fields& f);
};
/// Linear warm-up, then half a cosine:
///   t < warmup_steps: warmup_start_lr + (lr - warmup_start_lr) * t / warmup_steps
///   else: eta_min + (lr - eta_min) * (1 + cos(pi * min(1, (t - warmup_steps) / (total_steps - warmup_steps)))) / 2
/// torch's LinearLR and CosineAnnealingLR in sequence; braintools' WarmupCosineSchedule.
class CosineWarmup : public ScheduleWith<CosineWarmupOptions> {
 public:
  explicit CosineWarmup(CosineWarmupOptions options) : ScheduleWith("CosineWarmup", std::move(options)) {}
  double at(std::int64_t step) const;
};

struct PolynomialOptions {
  double lr = detail::must_be_given;
  std::int64_t total_steps = 0;  ///< at least 1; must be given
  double power = 1.0;            ///< above 0

  void fields(Fields& f) {
    f("lr", lr, finite_from_0);
    f("total_steps", total_steps, at_least(1));
    f("power", power, finite_above_0);
  }
};
/// lr * (1 - min(t, total_steps) / total_steps)^power. torch's PolynomialLR, with its total_iters as total_steps.
class Polynomial : public ScheduleWith<PolynomialOptions> {
 public:
  explicit Polynomial(PolynomialOptions options) : ScheduleWith("Polynomial", std::move(options)) {}
  double at(std::int64_t step) const;
};

struct CosineRestartsOptions {
  double lr = detail::must_be_given;  ///< the rate at the start of each cycle
  std::int64_t T_0 = 0;               ///< steps of the first cycle, at least 1; must be given
  std::int64_t T_mult = 1;            ///< each cycle has this many times the steps of the previous one; at least 1
  double eta_min = 0.0;               ///< the rate that a cycle approaches

  void fields(Fields& f) {
    f("lr", lr, finite_from_0);
    f("T_0", T_0, at_least(1));
    f("T_mult", T_mult, at_least(1));
    f("eta_min", eta_min, finite_from_0);
  }
};
/// Half a cosine that restarts repeatedly (SGDR, Loshchilov and Hutter 2017). c is the number of steps since the last
/// restart, n the number of steps of the cycle:
///   eta_min + (lr - eta_min) * (1 + cos(pi * c / n)) / 2
/// torch's CosineAnnealingWarmRestarts.
class CosineRestarts : public ScheduleWith<CosineRestartsOptions> {
 public:
  explicit CosineRestarts(CosineRestartsOptions options) : ScheduleWith("CosineRestarts", std::move(options)) {}
  double at(std::int64_t step) const;
};

struct OneCycleOptions {
  double max_lr = detail::must_be_given;
  std::int64_t total_steps = 0;         ///< at least 1; must be given
  double pct_start = 0.3;               ///< the fraction of the steps with a rising rate, in [0, 1]
  std::string anneal_strategy = "cos";  ///< "cos" or "linear"
  /// Moves the momentum (SGD, RMSProp) or the first beta (the others) opposite to the rate, in place of the optimizer's
  /// own. This also holds for an SGD with momentum 0, as in torch.
  bool cycle_momentum = true;
  double base_momentum = 0.85;    ///< at the highest rate
  double max_momentum = 0.95;     ///< at both ends
  double div_factor = 25.0;       ///< the first rate is max_lr / div_factor
  double final_div_factor = 1e4;  ///< the last is max_lr / div_factor / final_div_factor

  void fields(Fields& f) {
    f("max_lr", max_lr, finite_from_0);
    f("total_steps", total_steps, at_least(1));
    f("pct_start", pct_start, within(0, 1));
    f("anneal_strategy", anneal_strategy, {"cos", "linear"});
    f("cycle_momentum", cycle_momentum);
    f("base_momentum", base_momentum, from_0_below_1);
    f("max_momentum", max_momentum, from_0_below_1);
    f("div_factor", div_factor, finite_above_0);
    f("final_div_factor", final_div_factor, finite_above_0);
  }
};
/// Rises to max_lr and falls to almost nothing, exactly as torch's OneCycleLR with two phases. Here end1 = pct_start *
/// total_steps - 1, end2 = total_steps - 1, and go(a, b, x) = b + (a - b) / 2 * (1 + cos(pi x)) or a + (b - a) x:
///   t <= end1: lr = go(max_lr / div_factor, max_lr, t / end1), momentum = go(max_momentum, base_momentum, t / end1)
///   else, with x = (t - end1) / (end2 - end1): lr = go(max_lr, max_lr / div_factor / final_div_factor, x),
///     momentum = go(base_momentum, max_momentum, x)
/// From t = total_steps on (where torch throws) the last values are kept.
class OneCycle : public ScheduleWith<OneCycleOptions> {
 public:
  explicit OneCycle(OneCycleOptions options) : ScheduleWith("OneCycle", std::move(options)) {}
  ScheduleValue at(std::int64_t step) const;

 private:
  double go(double from, double to, double x) const;
};

}  // namespace vg
