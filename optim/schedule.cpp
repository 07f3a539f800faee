#include "voxgrad/optim/schedule.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/optim/checks.hpp"

namespace vg {

using detail::require;
using detail::require_decay;
using detail::require_positive;
using detail::require_rate;

Schedule::Schedule(double lr) : Schedule(Constant(lr)) {}

ScheduleValue Schedule::at(std::int64_t step) const {
  require(step >= 0, "Schedule", "step", step, "at least 0");
  return inside_->at(step);
}

Constant::Constant(double lr) : lr_(lr) { require_rate("Constant", "lr", lr); }
ModuleConfig Constant::description() const { return {"Constant", {{"lr", lr_}}, {}}; }

StepDecay::StepDecay(const StepDecayOptions& options) : options_(options) {
  require_rate("StepDecay", "lr", options.lr);
  require(options.step_size >= 1, "StepDecay", "step_size", options.step_size, "at least 1");
  require_positive("StepDecay", "gamma", options.gamma);
}

double StepDecay::at(std::int64_t step) const {
  return options_.lr * std::pow(options_.gamma, static_cast<double>(step / options_.step_size));
}

ModuleConfig StepDecay::description() const {
  return {"StepDecay", {{"lr", options_.lr}, {"step_size", options_.step_size}, {"gamma", options_.gamma}}, {}};
}

MultiStepDecay::MultiStepDecay(MultiStepDecayOptions options) : options_(std::move(options)) {
  require_rate("MultiStepDecay", "lr", options_.lr);
  require_positive("MultiStepDecay", "gamma", options_.gamma);
  std::int64_t before = 0;
  for (std::int64_t m : options_.milestones) {
    require(m >= before, "MultiStepDecay", "milestones", m, "at least 0 and no less than the one before");
    before = m;
  }
}

double MultiStepDecay::at(std::int64_t step) const {
  const auto& m = options_.milestones;
  const auto passed = std::upper_bound(m.begin(), m.end(), step) - m.begin();
  return options_.lr * std::pow(options_.gamma, static_cast<double>(passed));
}

ModuleConfig MultiStepDecay::description() const {
  return {"MultiStepDecay", {{"lr", options_.lr}, {"milestones", options_.milestones}, {"gamma", options_.gamma}}, {}};
}

Exponential::Exponential(const ExponentialOptions& options) : options_(options) {
  require_rate("Exponential", "lr", options.lr);
  require_positive("Exponential", "gamma", options.gamma);
}

double Exponential::at(std::int64_t step) const {
  return options_.lr * std::pow(options_.gamma, static_cast<double>(step));
}

ModuleConfig Exponential::description() const {
  return {"Exponential", {{"lr", options_.lr}, {"gamma", options_.gamma}}, {}};
}

CosineWarmup::CosineWarmup(const CosineWarmupOptions& options) : options_(options) {
  require_rate("CosineWarmup", "lr", options.lr);
  require(options.total_steps >= 1, "CosineWarmup", "total_steps", options.total_steps, "at least 1");
  require(options.warmup_steps >= 0 && options.warmup_steps < options.total_steps, "CosineWarmup", "warmup_steps",
          options.warmup_steps, "in [0, total_steps)");
  require_rate("CosineWarmup", "warmup_start_lr", options.warmup_start_lr);
  require_rate("CosineWarmup", "eta_min", options.eta_min);
}

double CosineWarmup::at(std::int64_t step) const {
  const auto& o = options_;
  const double t = static_cast<double>(step), warmup = static_cast<double>(o.warmup_steps);
  if (step < o.warmup_steps) return o.warmup_start_lr + (o.lr - o.warmup_start_lr) * t / warmup;
  const double x = std::min(1.0, (t - warmup) / static_cast<double>(o.total_steps - o.warmup_steps));
  return o.eta_min + (o.lr - o.eta_min) * (1 + std::cos(std::numbers::pi * x)) / 2;
}

ModuleConfig CosineWarmup::description() const {
  return {"CosineWarmup",
          {{"lr", options_.lr},
           {"warmup_steps", options_.warmup_steps},
           {"total_steps", options_.total_steps},
           {"warmup_start_lr", options_.warmup_start_lr},
           {"eta_min", options_.eta_min}},
          {}};
}

Polynomial::Polynomial(const PolynomialOptions& options) : options_(options) {
  require_rate("Polynomial", "lr", options.lr);
  require(options.total_steps >= 1, "Polynomial", "total_steps", options.total_steps, "at least 1");
  require_positive("Polynomial", "power", options.power);
}

double Polynomial::at(std::int64_t step) const {
  const auto& o = options_;
  const double x = static_cast<double>(std::min(step, o.total_steps)) / static_cast<double>(o.total_steps);
  return o.lr * std::pow(1 - x, o.power);
}

ModuleConfig Polynomial::description() const {
  return {"Polynomial", {{"lr", options_.lr}, {"total_steps", options_.total_steps}, {"power", options_.power}}, {}};
}

CosineRestarts::CosineRestarts(const CosineRestartsOptions& options) : options_(options) {
  require_rate("CosineRestarts", "lr", options.lr);
  require(options.T_0 >= 1, "CosineRestarts", "T_0", options.T_0, "at least 1");
  require(options.T_mult >= 1, "CosineRestarts", "T_mult", options.T_mult, "at least 1");
  require_rate("CosineRestarts", "eta_min", options.eta_min);
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

ModuleConfig CosineRestarts::description() const {
  return {"CosineRestarts",
          {{"lr", options_.lr}, {"T_0", options_.T_0}, {"T_mult", options_.T_mult}, {"eta_min", options_.eta_min}},
          {}};
}

OneCycle::OneCycle(OneCycleOptions options) : options_(std::move(options)) {
  const auto& o = options_;
  require_rate("OneCycle", "max_lr", o.max_lr);
  require(o.total_steps >= 1, "OneCycle", "total_steps", o.total_steps, "at least 1");
  require(o.pct_start >= 0 && o.pct_start <= 1, "OneCycle", "pct_start", o.pct_start, "in [0, 1]");
  if (o.anneal_strategy != "cos" && o.anneal_strategy != "linear")
    throw ValueError(
        fmt::format("[OneCycle] anneal_strategy: got \"{}\"; must be \"cos\" or \"linear\"", o.anneal_strategy));
  require_decay("OneCycle", "base_momentum", o.base_momentum);
  require_decay("OneCycle", "max_momentum", o.max_momentum);
  require_positive("OneCycle", "div_factor", o.div_factor);
  require_positive("OneCycle", "final_div_factor", o.final_div_factor);
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

ModuleConfig OneCycle::description() const {
  const auto& o = options_;
  return {"OneCycle",
          {{"max_lr", o.max_lr},
           {"total_steps", o.total_steps},
           {"pct_start", o.pct_start},
           {"anneal_strategy", o.anneal_strategy},
           {"cycle_momentum", o.cycle_momentum},
           {"base_momentum", o.base_momentum},
           {"max_momentum", o.max_momentum},
           {"div_factor", o.div_factor},
           {"final_div_factor", o.final_div_factor}},
          {}};
}

}  // namespace vg
