#include "voxgrad/optim/schedule.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace vg {

void MultiStepDecayOptions::fields(Fields& f) {
  f("lr", lr, finite_from_0);
  f("milestones", milestones);
  f("gamma", gamma, finite_above_0);
  std::int64_t before = 0;
  for (const std::int64_t m : milestones) {
    if (f.checking() && m < before)
      f.refuse("milestones", fmt::format("got {}; must be at least 0 and no less than the one before", m));
    before = m;
  }
}

void CosineWarmupOptions::fields(Fields& f) {
  f("lr", lr, finite_from_0);
  f("warmup_steps", warmup_steps);
  f("total_steps", total_steps, at_least(1));
  f("warmup_start_lr", warmup_start_lr, finite_from_0);
  f("eta_min", eta_min, finite_from_0);
  if (f.checking() && (warmup_steps < 0 || warmup_steps >= total_steps))
    f.refuse("warmup_steps", fmt::format("got {}; must be in [0, total_steps)", warmup_steps));
}

Schedule::Schedule(double lr) : Schedule(Constant(lr)) {}

ScheduleValue Schedule::at(std::int64_t step) const {
  require_in(at_least(0), "Schedule", "step", static_cast<double>(step));
  return inside_->at(step);
}

double StepDecay::at(std::int64_t step) const {
  return options_.lr * std::pow(options_.gamma, static_cast<double>(step / options_.step_size));
}

double MultiStepDecay::at(std::int64_t step) const {
  const auto& m = options_.milestones;
  const auto passed = std::upper_bound(m.begin(), m.end(), step) - m.begin();
  return options_.lr * std::pow(options_.gamma, static_cast<double>(passed));
}

double Exponential::at(std::int64_t step) const {
  return options_.lr * std::pow(options_.gamma, static_cast<double>(step));
}

double CosineWarmup::at(std::int64_t step) const {
  const auto& o = options_;
  const double t = static_cast<double>(step), warmup = static_cast<double>(o.warmup_steps);
  if (step < o.warmup_steps) return o.warmup_start_lr + (o.lr - o.warmup_start_lr) * t / warmup;
  const double x = std::min(1.0, (t - warmup) / static_cast<double>(o.total_steps - o.warmup_steps));
  return o.eta_min + (o.lr - o.eta_min) * (1 + std::cos(std::numbers::pi * x)) / 2;
}

double Polynomial::at(std::int64_t step) const {
  const auto& o = options_;
  const double x = static_cast<double>(std::min(step, o.total_steps)) / static_cast<double>(o.total_steps);
  return o.lr * std::pow(1 - x, o.power);
}

double CosineRestarts::at(std::int64_t step) const {
  const auto& o = options_;
  std::int64_t since = step, cycle = o.T_0;
  if (o.T_mult == 1) since %= cycle;
  while (since >= cycle) {
    since -= cycle;
    constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
    cycle = cycle > most / o.T_mult ? most : cycle * o.T_mult;
  }
  const double x = static_cast<double>(since) / static_cast<double>(cycle);
  return o.eta_min + (o.lr - o.eta_min) * (1 + std::cos(std::numbers::pi * x)) / 2;
}

double OneCycle::go(double from, double to, double x) const {
  if (options_.anneal_strategy == "linear") return from + (to - from) * x;
  return to + (from - to) / 2 * (1 + std::cos(std::numbers::pi * x));
}

ScheduleValue OneCycle::at(std::int64_t step) const {
  const auto& o = options_;
  const double total = static_cast<double>(o.total_steps), t = static_cast<double>(std::min(step, o.total_steps - 1));
  const double end1 = o.pct_start * total - 1, end2 = total - 1;
  const double first = o.max_lr / o.div_factor, last = first / o.final_div_factor;
  ScheduleValue value(0);
  if (t <= end1) {
    const double x = end1 > 0 ? t / end1 : 1.0;  // a rise of one step starts at its top
    value.lr = go(first, o.max_lr, x);
    value.momentum = go(o.max_momentum, o.base_momentum, x);
  } else {
    const double x = (t - end1) / (end2 - end1);
    value.lr = go(o.max_lr, last, x);
    value.momentum = go(o.base_momentum, o.max_momentum, x);
  }
  if (!o.cycle_momentum) value.momentum.reset();
  return value;
}

}  // namespace vg
