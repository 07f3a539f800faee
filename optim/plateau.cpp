#include "voxgrad/optim/plateau.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "voxgrad/optim/settings.hpp"

namespace vg {

void ReduceOnPlateauOptions::fields(Fields& f) {
  f("lr", lr, finite_from_0);
  f("mode", mode, {"min", "max"});
  f("factor", factor,
    {std::numeric_limits<double>::denorm_min(), 1 - std::numeric_limits<double>::epsilon() / 2, "above 0 and below 1"});
  f("patience", patience, at_least(0));
  f("threshold", threshold, finite_from_0);
  f("threshold_mode", threshold_mode, {"rel", "abs"});
  f("cooldown", cooldown, at_least(0));
  f("min_lr", min_lr, finite_from_0);
  f("eps", eps, finite_from_0);
}

ReduceOnPlateau::ReduceOnPlateau(ReduceOnPlateauOptions options) : ScheduleWith("ReduceOnPlateau", std::move(options)) {
  const double worst = std::numeric_limits<double>::infinity();
  seen_ = std::make_shared<Seen>(Seen{options_.lr, options_.mode == "min" ? worst : -worst});
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
