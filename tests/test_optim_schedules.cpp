// Schedules' descriptions: what a checkpoint keeps of them, so that a run that goes on can tell another schedule.
#include <catch2/catch.hpp>

#include "optim/optim.hpp"

TEST_CASE("schedules: a description has all options", "[optim]") {
  const vg::Description step = vg::StepDecay({.lr = 0.1, .step_size = 3, .gamma = 0.5}).description();
  CHECK(step.kind == "StepDecay");
  CHECK(step.options == vg::Values{{"lr", 0.1}, {"step_size", std::int64_t{3}}, {"gamma", 0.5}});
  const vg::Description multi = vg::MultiStepDecay({.lr = 0.2, .milestones = {2, 5}, .gamma = 0.25}).description();
  CHECK(multi.kind == "MultiStepDecay");
  CHECK(multi.options == vg::Values{{"lr", 0.2}, {"milestones", std::vector<std::int64_t>{2, 5}}, {"gamma", 0.25}});
  const vg::Description exponential = vg::Exponential({.lr = 0.3, .gamma = 0.9}).description();
  CHECK(exponential.kind == "Exponential");
  CHECK(exponential.options == vg::Values{{"lr", 0.3}, {"gamma", 0.9}});
}
