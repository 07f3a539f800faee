// Compares optimizers, schedules and clipping with PyTorch (golden/optim; golden/README.md has the schema).
#include <catch2/catch.hpp>
#include <cmath>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "support/golden.hpp"
#include "support/optim_toys.hpp"
#include "voxgrad/optim/optim.hpp"

using nlohmann::json;
using vg::test::param;

namespace {

vg::OneCycle one_cycle_of(const json& c) {
  vg::OneCycleOptions o{.max_lr = c.at("max_lr"), .total_steps = c.at("total_steps")};
  o.pct_start = c.value("pct_start", o.pct_start);
  o.anneal_strategy = c.value("anneal_strategy", o.anneal_strategy);
  o.base_momentum = c.value("base_momentum", o.base_momentum);
  o.max_momentum = c.value("max_momentum", o.max_momentum);
  o.div_factor = c.value("div_factor", o.div_factor);
  o.final_div_factor = c.value("final_div_factor", o.final_div_factor);
  return vg::OneCycle(o);
}

vg::Schedule schedule_of(const json& record) {
  const std::string kind = record.at("schedule");
  const json& c = record.at("config");
  if (kind == "StepDecay")
    return vg::StepDecay({.lr = c.at("lr"), .step_size = c.at("step_size"), .gamma = c.at("gamma")});
  if (kind == "MultiStepDecay")
    return vg::MultiStepDecay(
        {.lr = c.at("lr"), .milestones = c.at("milestones").get<std::vector<std::int64_t>>(), .gamma = c.at("gamma")});
  if (kind == "Exponential") return vg::Exponential({.lr = c.at("lr"), .gamma = c.at("gamma")});
  if (kind == "WarmupCosine")
    return vg::CosineWarmup({.lr = c.at("lr"),
                             .warmup_steps = c.at("warmup_steps"),
                             .total_steps = c.at("total_steps"),
                             .warmup_start_lr = c.at("warmup_start_lr"),
                             .eta_min = c.at("eta_min")});
  if (kind == "Polynomial")
    return vg::Polynomial({.lr = c.at("lr"), .total_steps = c.at("total_steps"), .power = c.at("power")});
  if (kind == "CosineRestarts")
    return vg::CosineRestarts(
        {.lr = c.at("lr"), .T_0 = c.at("T_0"), .T_mult = c.at("T_mult"), .eta_min = c.at("eta_min")});
  REQUIRE(kind == "OneCycle");
  return one_cycle_of(c);
}

using Make = std::function<std::unique_ptr<vg::Optimizer>(const vg::States&, const json&)>;

// Sets the options of this kind from their names in the file.
template <class O, class Options>
Make make(std::function<void(Options&, const json&)> own) {
  return [own](const vg::States& states, const json& record) {
    const json& c = record.at("config");
    const auto optional = [&](const char* key) {
      return record.at(key).is_null() ? std::nullopt : std::optional<double>(record.at(key).get<double>());
    };
    Options o;
    o.lr = record.at("one_cycle").is_null() ? vg::Schedule(c.at("lr").get<double>())
                                            : one_cycle_of(record.at("one_cycle"));
    o.weight_decay = c.at("weight_decay");
    o.clip_norm = optional("clip_norm");
    o.clip_value = optional("clip_value");
    own(o, c);
    return std::make_unique<O>(states, o);
  };
}

template <class Options>
void betas_and_eps(Options& o, const json& c) {
  o.betas = c.at("betas");
  o.eps = c.at("eps");
}

const std::map<std::string, Make>& optimizers() {
  static const std::map<std::string, Make> all{
      {"SGD", make<vg::SGD, vg::SGDOptions>([](auto& o, const json& c) {
         o.momentum = c.at("momentum");
         o.nesterov = c.at("nesterov");
       })},
      {"RMSprop", make<vg::RMSProp, vg::RMSPropOptions>([](auto& o, const json& c) {
         o.alpha = c.at("alpha");
         o.eps = c.at("eps");
         o.momentum = c.at("momentum");
         o.centered = c.at("centered");
       })},
      {"Adagrad", make<vg::Adagrad, vg::AdagradOptions>([](auto& o, const json& c) {
         o.lr_decay = c.at("lr_decay");
         o.initial_accumulator_value = c.at("initial_accumulator_value");
         o.eps = c.at("eps");
       })},
      {"Adam", make<vg::Adam, vg::AdamOptions>(betas_and_eps<vg::AdamOptions>)},
      {"AdamW", make<vg::AdamW, vg::AdamWOptions>(betas_and_eps<vg::AdamWOptions>)},
      {"Adamax", make<vg::Adamax, vg::AdamaxOptions>(betas_and_eps<vg::AdamaxOptions>)},
      {"NAdam", make<vg::NAdam, vg::NAdamOptions>([](auto& o, const json& c) {
         betas_and_eps(o, c);
         o.momentum_decay = c.at("momentum_decay");
         o.decoupled_weight_decay = c.at("decoupled_weight_decay");
       })},
      {"RAdam", make<vg::RAdam, vg::RAdamOptions>([](auto& o, const json& c) {
         betas_and_eps(o, c);
         o.decoupled_weight_decay = c.at("decoupled_weight_decay");
       })},
      {"Lion", make<vg::Lion, vg::LionOptions>([](auto& o, const json& c) { o.betas = c.at("betas"); })},
      {"LAMB", make<vg::LAMB, vg::LAMBOptions>(betas_and_eps<vg::LAMBOptions>)},
  };
  return all;
}

// The largest error of a whole golden trajectory with parameters of that dtype.
double trajectory_error(const json& record, vg::DType dtype) {
  const json &initial = record.at("initial"), &grads = record.at("gradients"), &wanted = record.at("parameters");
  vg::States states;
  for (const auto& [name, value] : initial.items()) states.insert(name, param("leaf", vg::test::golden::tensor(value, dtype)));
  const auto optimizer = optimizers().at(record.at("optimizer"))(states, record);
  double worst = 0;
  for (std::size_t t = 0; t < grads.size(); ++t) {
    worst = std::max(worst, std::abs(optimizer->lr() - record.at("lr")[t].get<double>()));
    if (!record.at("momentum").is_null())
      worst =
          std::max(worst, std::abs(optimizer->scheduled_momentum().value() - record.at("momentum")[t].get<double>()));
    for (const auto& [name, state] : states) {
      vg::State s = state;
      s.set_grad("leaf", vg::test::golden::tensor(grads[t].at(name), dtype));
    }
    optimizer->step();
    for (const auto& [name, state] : states)
      worst = std::max(worst, vg::test::golden::error(state["leaf"].value(), vg::test::golden::tensor(wanted[t].at(name), vg::f64)));
  }
  return worst;
}

void check_plateau(const json& record) {
  const json& c = record.at("config");
  vg::ReduceOnPlateau plateau({.lr = c.at("lr"),
                               .mode = c.at("mode"),
                               .factor = c.at("factor"),
                               .patience = c.at("patience"),
                               .threshold = c.at("threshold"),
                               .threshold_mode = c.at("threshold_mode"),
                               .cooldown = c.at("cooldown"),
                               .min_lr = c.at("min_lr"),
                               .eps = c.at("eps")});
  for (std::size_t i = 0; i < record.at("metrics").size(); ++i) {
    const double before = plateau.lr();
    const bool fell = plateau.observe(record.at("metrics")[i]);
    CHECK(plateau.lr() == record.at("lr")[i].get<double>());
    CHECK(fell == (plateau.lr() < before));
    CHECK(plateau.best() == record.at("best")[i].get<double>());
    const vg::StateDict state = plateau.save_state();
    CHECK(state.get<std::int64_t>("bad_observations") == record.at("bad_observations")[i]);
    CHECK(state.get<std::int64_t>("cooldown_left") == record.at("cooldown_left")[i]);
  }
}

}  // namespace

TEST_CASE("optim: PyTorch's trajectories", "[optim]") {
  int trajectories = 0, schedules = 0, plateaus = 0;
  std::set<std::string> kinds;
  for (const auto& file : vg::test::golden::files_in(vg::test::golden::path_of("optim"))) {
    const json record = vg::test::golden::read(file);
    INFO(file.filename().string());
    if (record.contains("optimizer")) {
      kinds.insert(record.at("optimizer").get<std::string>());
      ++trajectories;
      CHECK(trajectory_error(record, vg::f64) < 1e-12);
      CHECK(trajectory_error(record, vg::f32) < 2e-5);
    } else if (record.contains("schedule")) {
      ++schedules;
      const vg::Schedule s = schedule_of(record);
      for (std::size_t t = 0; t < record.at("lr").size(); ++t) {
        const vg::ScheduleValue v = s.at(static_cast<std::int64_t>(t));
        CHECK(v.lr == Approx(record.at("lr")[t].get<double>()).epsilon(1e-12).margin(1e-17));
        if (!record.at("momentum").is_null())
          CHECK(v.momentum.value() == Approx(record.at("momentum")[t].get<double>()).epsilon(1e-13));
      }
    } else if (record.contains("metrics")) {
      ++plateaus;
      check_plateau(record);
    }
  }
  CHECK(trajectories >= 35);
  CHECK(kinds.size() == optimizers().size());
  CHECK(schedules >= 16);
  CHECK(plateaus >= 5);
}

TEST_CASE("optim: PyTorch's clipping", "[optim]") {
  const auto load = [](const json& arrays) {
    vg::StateGrads grads;
    for (const auto& [name, value] : arrays.items())
      grads.entries.push_back({name, {{"leaf", vg::test::golden::tensor(value, vg::f64)}}});
    return grads;
  };
  for (const std::string kind : {"norm", "value"}) {
    const json record = vg::test::golden::read(vg::test::golden::path_of("optim/clip_by_" + kind + ".json"));
    CHECK(record.at("cases").size() >= 3);
    for (const json& c : record.at("cases")) {
      vg::StateGrads grads = load(c.at("gradients"));
      CHECK(vg::global_norm(grads) == Approx(c.at("norm_before").get<double>()).epsilon(1e-14));
      if (kind == "norm")
        CHECK(vg::clip_by_global_norm(grads, c.at("limit")) ==
              Approx(c.at("norm_before").get<double>()).epsilon(1e-14));
      else
        vg::clip_by_value(grads, c.at("limit"));
      for (const auto& [name, value] : c.at("clipped").items())
        CHECK(vg::test::golden::error(grads.at(name, "leaf").value(), vg::test::golden::tensor(value, vg::f64)) < 1e-15);
    }
  }
}
