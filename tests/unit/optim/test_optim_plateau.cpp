// ReduceOnPlateau in an optimizer and in a checkpoint. test_optim_golden.cpp compares with PyTorch.
#include <catch2/catch.hpp>
#include <limits>

#include "support/optim_toys.hpp"
#include "support/temp_dir.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/checkpoint/checkpoint.hpp"
#include "voxgrad/optim/optim.hpp"

using Catch::Matchers::Contains;
using vg::test::Toy;

namespace {

const vg::ReduceOnPlateauOptions eager{.lr = 0.5, .factor = 0.5, .patience = 1, .cooldown = 2};
constexpr double metrics[] = {3, 2, 2, 2.5, 2, 2, 2, 1, 2, 2, 2, 2};  // reduced twice, once after a cooldown

std::string problems_of(const vg::Stateful& s, const vg::StateDict& b) {
  std::string all;
  for (const auto& line : s.check_state(b)) all += line + "\n";
  return all;
}

}  // namespace

TEST_CASE("plateau: the optimizer that has a copy of the schedule follows it", "[optim]") {
  Toy toy;
  vg::ReduceOnPlateau plateau(eager);
  vg::SGD optimizer(toy.states, {.lr = plateau, .groups = {{.path = "head", .lr_scale = 0.1}}});
  CHECK(plateau.best() == std::numeric_limits<double>::infinity());
  CHECK_FALSE(plateau.observe(1));
  CHECK_FALSE(plateau.observe(1));
  CHECK(optimizer.lr() == 0.5);
  CHECK(plateau.observe(std::numeric_limits<double>::quiet_NaN()));  // also no improvement
  CHECK(optimizer.lr() == 0.25);
  CHECK(optimizer.lr("head.weight", "weight") == 0.025);
  optimizer.step();
  CHECK(optimizer.lr() == 0.25);  // steps do not count
  CHECK(plateau.best() == 1);
  CHECK_FALSE(vg::Schedule(plateau).gives_momentum());
}

TEST_CASE("plateau: a run saved in the middle goes on with the same rates and bits", "[optim]") {
  const vg::test::TempDir folder;
  Toy whole, half, resumed;
  vg::ReduceOnPlateau a(eager), b(eager), c(eager);
  vg::AdamW whole_run(whole.states, {.lr = a}), half_run(half.states, {.lr = b}),
      resumed_run(resumed.states, {.lr = c});
  const auto step = [](Toy& toy, vg::AdamW& optimizer, vg::ReduceOnPlateau& plateau, int t) {
    toy.set_grads(t);
    optimizer.step();
    plateau.observe(metrics[t]);
  };
  for (int t = 0; t < 12; ++t) step(whole, whole_run, a, t);
  CHECK(a.lr() == 0.125);
  for (const int stop : {0, 2, 4, 7, 9}) {
    Toy fresh;
    half.copy(fresh);
    vg::ReduceOnPlateau first(eager);
    vg::AdamW optimizer(half.states, {.lr = first});
    for (int t = 0; t < stop; ++t) step(half, optimizer, first, t);
    vg::Checkpoint().optimizer(optimizer).save(folder / "c.json");
    c.observe(-1);  // replaced by the load
    resumed.copy(half);
    vg::Checkpoint().optimizer(resumed_run).load(folder / "c.json");
    CHECK(c.lr() == first.lr());
    CHECK(c.best() == first.best());
    for (int t = stop; t < 12; ++t) step(resumed, resumed_run, c, t);
    CHECK(c.lr() == a.lr());
    CHECK(resumed.equals(whole));
  }
}

TEST_CASE("plateau: that of a group is saved, too, and differences are named", "[optim]") {
  Toy toy;
  vg::ReduceOnPlateau mine(eager), other(eager), slower({.lr = 0.25, .factor = 0.5, .patience = 1, .cooldown = 2});
  const auto with = [&](const vg::Schedule& lr) {
    return vg::SGD(toy.states, {.groups = {{.path = "head", .lr = lr}}});
  };
  vg::SGD saved = with(mine), loaded = with(other), unlike = with(slower);
  for (int i = 0; i < 4; ++i) mine.observe(1);
  vg::StateDict state = saved.save_state();
  CHECK(problems_of(loaded, state).empty());
  loaded.load_state(state);
  CHECK(other.lr() == 0.25);
  CHECK(loaded.lr("head.weight", "weight") == 0.25);

  CHECK(problems_of(unlike, state) ==
        "settings.groups.0.lr.lr: 0.5 in the state; here it is 0.25\n(to go on with the settings here: "
        "optimizer.allow_other_settings() before the load)\n");
  unlike.allow_other_settings();
  unlike.load_state(state);  // but not the state of another schedule
  CHECK(slower.best() == std::numeric_limits<double>::infinity());
  CHECK(slower.lr() == 0.25);
  loaded.allow_other_settings();
  for (int i = 0; i < 4; ++i) other.observe(1);
  CHECK(other.lr() == 0.125);
  loaded.load_state(state);
  CHECK(other.lr() == 0.25);

  vg::SGD strict = with(mine);
  REQUIRE(state.parts[1].first == "schedules");
  vg::StateDict& plateau = state.parts[1].second.parts[0].second;
  plateau.values = {
      {"lr", 0.75}, {"best", std::numeric_limits<double>::quiet_NaN()}, {"cooldown_left", std::int64_t{-1}}};
  CHECK_THAT(problems_of(strict, state), Contains("schedules.groups.0.lr: lr: missing or not in [0, ") &&
                                             Contains("best: missing or not a number") &&
                                             Contains("bad_observations: missing") &&
                                             Contains("cooldown_left: missing"));
  plateau.parts.clear();
  CHECK_THAT(problems_of(strict, state), Contains("settings: missing"));
  state.parts.erase(state.parts.begin() + 1);
  CHECK(problems_of(strict, state) == "schedules.groups.0.lr: missing\n");
  CHECK_THROWS_AS(strict.load_state(state), vg::IoError);
  CHECK(mine.lr() == 0.25);
  CHECK_THAT(problems_of(vg::SGD(toy.states), saved.save_state()), Contains("settings.groups.0: in the state"));
}

TEST_CASE("plateau: bad options are refused", "[optim]") {
  const auto with = [](auto change) {
    vg::ReduceOnPlateauOptions o{.lr = 0.1};
    change(o);
    return vg::ReduceOnPlateau(o);
  };
  using O = vg::ReduceOnPlateauOptions;
  CHECK_THROWS_WITH(vg::ReduceOnPlateau({}), Contains("[ReduceOnPlateau] lr: got nan; must be finite and at least 0"));
  CHECK_THROWS_WITH(with([](O& o) { o.mode = "least"; }), Contains("mode: got \"least\"; must be \"min\" or \"max\""));
  CHECK_THROWS_WITH(with([](O& o) { o.factor = 1; }), Contains("factor: got 1; must be above 0 and below 1"));
  CHECK_THROWS_WITH(with([](O& o) { o.factor = 0; }), Contains("factor: got 0"));
  CHECK_THROWS_WITH(with([](O& o) { o.patience = -1; }), Contains("patience: got -1; must be at least 0"));
  CHECK_THROWS_WITH(with([](O& o) { o.threshold = -1; }), Contains("threshold: got -1"));
  CHECK_THROWS_WITH(with([](O& o) { o.threshold_mode = "none"; }), Contains("threshold_mode: got \"none\""));
  CHECK_THROWS_WITH(with([](O& o) { o.cooldown = -2; }), Contains("cooldown: got -2"));
  CHECK_THROWS_WITH(with([](O& o) { o.min_lr = -0.5; }), Contains("min_lr: got -0.5"));
  CHECK_THROWS_WITH(with([](O& o) { o.eps = -1; }), Contains("eps: got -1"));
}
