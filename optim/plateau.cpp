#include "voxgrad/optim/plateau.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/optim/checks.hpp"
#include "voxgrad/optim/settings.hpp"

namespace vg {

namespace {

constexpr std::string_view name = "ReduceOnPlateau";

void require_one_of(std::string_view argument, const std::string& value, std::string_view a, std::string_view b) {
  if (value != a && value != b)
    throw ValueError(fmt::format("[{}] {}: got \"{}\"; must be \"{}\" or \"{}\"", name, argument, value, a, b));
}

}  // namespace

ReduceOnPlateau::ReduceOnPlateau(ReduceOnPlateauOptions options) : options_(std::move(options)) {
  const auto& o = options_;
  detail::require_rate(name, "lr", o.lr);
  require_one_of("mode", o.mode, "min", "max");
  detail::require(o.factor > 0 && o.factor < 1, name, "factor", o.factor, "above 0 and below 1");
  detail::require(o.patience >= 0, name, "patience", o.patience, "at least 0");
  detail::require_rate(name, "threshold", o.threshold);
  require_one_of("threshold_mode", o.threshold_mode, "rel", "abs");
  detail::require(o.cooldown >= 0, name, "cooldown", o.cooldown, "at least 0");
  detail::require_rate(name, "min_lr", o.min_lr);
  detail::require_rate(name, "eps", o.eps);
  const double worst = std::numeric_limits<double>::infinity();
  seen_ = std::make_shared<Seen>(Seen{o.lr, o.mode == "min" ? worst : -worst});
}

bool ReduceOnPlateau::is_better(double metric) const {
  const auto& o = options_;
  const bool relative = o.threshold_mode == "rel";
  if (o.mode == "min") return metric < (relative ? seen_->best * (1 - o.threshold) : seen_->best - o.threshold);
  return metric > (relative ? seen_->best * (1 + o.threshold) : seen_->best + o.threshold);
}

bool ReduceOnPlateau::observe(double metric) {
  Seen& s = *seen_;
  if (is_better(metric)) {
    s.best = metric;
    s.bad = 0;
  } else {
    ++s.bad;
  }
  if (s.cooldown_left > 0) {
    --s.cooldown_left;
    s.bad = 0;
  }
  if (s.bad <= options_.patience) return false;
  s.bad = 0;
  s.cooldown_left = options_.cooldown;
  const double next = std::max(s.lr * options_.factor, options_.min_lr);
  if (!(s.lr - next > options_.eps)) return false;
  s.lr = next;
  return true;
}

ModuleConfig ReduceOnPlateau::description() const {
  const auto& o = options_;
  return {std::string(name),
          {{"lr", o.lr},
           {"mode", o.mode},
           {"factor", o.factor},
           {"patience", o.patience},
           {"threshold", o.threshold},
           {"threshold_mode", o.threshold_mode},
           {"cooldown", o.cooldown},
           {"min_lr", o.min_lr},
           {"eps", o.eps}},
          {}};
}

StateDict ReduceOnPlateau::save_state() const {
  StateDict state;
  state.values = {{"lr", seen_->lr},
                  {"best", seen_->best},
                  {"bad_observations", seen_->bad},
                  {"cooldown_left", seen_->cooldown_left}};
  state.parts.emplace_back("settings", detail::bundle_of(description()));
  return state;
}

std::vector<std::string> ReduceOnPlateau::check_state(const StateDict& state) const {
  std::vector<std::string> problems;
  const StateDict* settings = detail::find_entry(state.parts, "settings");
  if (!settings)
    problems.emplace_back("settings: missing");
  else
    detail::compare_settings("settings.", *settings, detail::bundle_of(description()), problems);
  const double *lr = detail::number_in(state, "lr"), *best = detail::number_in(state, "best");
  if (!lr || !(*lr >= 0 && *lr <= options_.lr)) problems.emplace_back("lr: missing or not in [0, the first lr]");
  if (!best || *best != *best) problems.emplace_back("best: missing or not a number");
  for (const char* count : {"bad_observations", "cooldown_left"})
    if (!detail::count_in(state, count))
      problems.push_back(fmt::format("{}: missing or not an integer of at least 0", count));
  return problems;
}

void ReduceOnPlateau::load_state(const StateDict& state) {
  *seen_ = {state.get<double>("lr"), state.get<double>("best"), state.get<std::int64_t>("bad_observations"),
            state.get<std::int64_t>("cooldown_left")};
}

}  // namespace vg
