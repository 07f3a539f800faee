// Optimizers, schedules and clipping against PyTorch's numbers (golden/optim; the schema is in golden/README.md).
#include <catch2/catch.hpp>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "optim/optim.hpp"
#include "support/golden.hpp"

using nlohmann::json;

namespace {

vg::ParamState param(const std::string& leaf, const vg::Tensor& value) {
  vg::ParamState state;
  state.add(leaf, value);
  return state;
}

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
  REQUIRE(kind == "OneCycle");
  return one_cycle_of(c);
}

std::unique_ptr<vg::Optimizer> optimizer_of(const json& record, const vg::States& states) {
  const json& c = record.at("config");
  const auto optional = [&](const char* key) {
    return record.at(key).is_null() ? std::nullopt : std::optional<double>(record.at(key).get<double>());
  };
  const auto norm = optional("clip_norm"), limit = optional("clip_value");
  const vg::Schedule lr =
      record.at("one_cycle").is_null() ? vg::Schedule(c.at("lr").get<double>()) : one_cycle_of(record.at("one_cycle"));
  const double decay = c.at("weight_decay");
  const std::string kind = record.at("optimizer");
  if (kind == "SGD")
    return std::make_unique<vg::SGD>(states, vg::SGDOptions{.lr = lr,
                                                            .momentum = c.at("momentum"),
                                                            .nesterov = c.at("nesterov"),
                                                            .weight_decay = decay,
                                                            .clip_norm = norm,
                                                            .clip_value = limit});
  if (kind == "RMSprop")
    return std::make_unique<vg::RMSProp>(states, vg::RMSPropOptions{.lr = lr,
                                                                    .alpha = c.at("alpha"),
                                                                    .eps = c.at("eps"),
                                                                    .momentum = c.at("momentum"),
                                                                    .centered = c.at("centered"),
                                                                    .weight_decay = decay,
                                                                    .clip_norm = norm,
                                                                    .clip_value = limit});
  const std::array<double, 2> betas = c.at("betas");
  if (kind == "Adam")
    return std::make_unique<vg::Adam>(states, vg::AdamOptions{.lr = lr,
                                                              .betas = betas,
                                                              .eps = c.at("eps"),
                                                              .weight_decay = decay,
                                                              .clip_norm = norm,
                                                              .clip_value = limit});
  REQUIRE(kind == "AdamW");
  return std::make_unique<vg::AdamW>(
      states,
      vg::AdamWOptions{
          .lr = lr, .betas = betas, .eps = c.at("eps"), .weight_decay = decay, .clip_norm = norm, .clip_value = limit});
}

// The largest error of a whole golden trajectory, with the parameters in that dtype.
double trajectory_error(const json& record, vg::DType dtype) {
  const json &initial = record.at("initial"), &grads = record.at("gradients"), &wanted = record.at("parameters");
  vg::States states;
  for (const auto& [name, value] : initial.items()) states.insert(name, param("leaf", golden::tensor(value, dtype)));
  const auto optimizer = optimizer_of(record, states);
  double worst = 0;
  for (std::size_t t = 0; t < grads.size(); ++t) {
    worst = std::max(worst, std::abs(optimizer->lr() - record.at("lr")[t].get<double>()));
    if (!record.at("momentum").is_null())
      worst =
          std::max(worst, std::abs(optimizer->scheduled_momentum().value() - record.at("momentum")[t].get<double>()));
    for (const auto& [name, state] : states) {
      vg::State s = state;
      s.set_grad("leaf", golden::tensor(grads[t].at(name), dtype));
    }
    optimizer->step();
    for (const auto& [name, state] : states)
      worst = std::max(worst, golden::error(state["leaf"].value(), golden::tensor(wanted[t].at(name), vg::f64)));
  }
  return worst;
}

}  // namespace

TEST_CASE("optim: PyTorch's trajectories", "[optim]") {
  int trajectories = 0, schedules = 0;
  for (const auto& file : golden::files_in(golden::path_of("optim"))) {
    const json record = golden::read(file);
    INFO(file.filename().string());
    if (record.contains("optimizer")) {
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
    }
  }
  CHECK(trajectories >= 20);
  CHECK(schedules >= 10);
}

TEST_CASE("optim: PyTorch's clipping", "[optim]") {
  const auto load = [](const json& arrays) {
    vg::StateGrads grads;
    for (const auto& [name, value] : arrays.items())
      grads.entries.push_back({name, {{"leaf", golden::tensor(value, vg::f64)}}});
    return grads;
  };
  for (const std::string kind : {"norm", "value"}) {
    const json record = golden::read(golden::path_of("optim/clip_by_" + kind + ".json"));
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
        CHECK(golden::error(grads.at(name, "leaf").value(), golden::tensor(value, vg::f64)) < 1e-15);
    }
  }
}
