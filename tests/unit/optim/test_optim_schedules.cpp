// Schedules at and past their ends, and their descriptions, by which a resumed run recognises another schedule.
#include <catch2/catch.hpp>
#include <limits>

#include "voxgrad/optim/optim.hpp"

TEST_CASE("schedules: a description has all options", "[optim]") {
  const vg::ModuleConfig step = vg::StepDecay({.lr = 0.1, .step_size = 3, .gamma = 0.5}).description();
  CHECK(step.kind == "StepDecay");
  CHECK(step.options == vg::Attributes{{"lr", 0.1}, {"step_size", std::int64_t{3}}, {"gamma", 0.5}});
  const vg::ModuleConfig multi = vg::MultiStepDecay({.lr = 0.2, .milestones = {2, 5}, .gamma = 0.25}).description();
  CHECK(multi.kind == "MultiStepDecay");
  CHECK(multi.options == vg::Attributes{{"lr", 0.2}, {"milestones", std::vector<std::int64_t>{2, 5}}, {"gamma", 0.25}});
  const vg::ModuleConfig exponential = vg::Exponential({.lr = 0.3, .gamma = 0.9}).description();
  CHECK(exponential.kind == "Exponential");
  CHECK(exponential.options == vg::Attributes{{"lr", 0.3}, {"gamma", 0.9}});
}

TEST_CASE("schedules: polynomial and cosine restarts at and past their ends, described, refused", "[optim]") {
  using Catch::Matchers::Contains;
  const vg::Polynomial poly({.lr = 0.5, .total_steps = 4, .power = 2.0});
  CHECK(poly.at(0) == 0.5);
  CHECK(poly.at(2) == 0.125);
  CHECK(poly.at(4) == 0);
  CHECK(poly.at(1000000) == 0);
  CHECK(poly.description().kind == "Polynomial");
  CHECK(poly.description().options == vg::Attributes{{"lr", 0.5}, {"total_steps", std::int64_t{4}}, {"power", 2.0}});
  CHECK_THROWS_WITH(vg::Polynomial({.total_steps = 4}), Contains("[Polynomial] lr: got nan"));
  CHECK_THROWS_WITH(vg::Polynomial({.lr = 1}), Contains("total_steps: got 0; must be at least 1"));
  CHECK_THROWS_WITH(vg::Polynomial({.lr = 1, .total_steps = 4, .power = 0}), Contains("power: got 0"));

  const vg::CosineRestarts restarts({.lr = 1.0, .T_0 = 2, .T_mult = 3, .eta_min = 0.5});
  for (const std::int64_t start : {0, 2, 8, 26}) CHECK(restarts.at(start) == 1.0);
  CHECK(restarts.at(1) == Approx(0.75));
  CHECK(restarts.at(5) == Approx(0.75));
  const std::int64_t last = std::numeric_limits<std::int64_t>::max();
  for (const std::int64_t mult : {std::int64_t{1}, std::int64_t{2}, std::int64_t{7}, last}) {
    const double rate =
        vg::CosineRestarts({.lr = 1.0, .T_0 = 3, .T_mult = mult}).at(last);  // no overflow, no long loop
    CHECK((rate >= 0 && rate <= 1));
  }
  CHECK(restarts.description().kind == "CosineRestarts");
  CHECK(restarts.description().options ==
        vg::Attributes{{"lr", 1.0}, {"T_0", std::int64_t{2}}, {"T_mult", std::int64_t{3}}, {"eta_min", 0.5}});
  CHECK_THROWS_WITH(vg::CosineRestarts({.lr = 1}), Contains("[CosineRestarts] T_0: got 0; must be at least 1"));
  CHECK_THROWS_WITH(vg::CosineRestarts({.lr = 1, .T_0 = 3, .T_mult = 0}), Contains("T_mult: got 0"));
  CHECK_THROWS_WITH(vg::CosineRestarts({.lr = 1, .T_0 = 3, .eta_min = -1}), Contains("eta_min: got -1"));
}
