// Ema: comparison with PyTorch's AveragedModel (golden/ema.json), its guard, and checkpoints.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "support/checkpoint_run.hpp"
#include "support/golden.hpp"
#include "support/temp_dir.hpp"
#include "support/threads_guard.hpp"
#include "voxgrad/framework/checkpoint/checkpoint.hpp"
#include "voxgrad/framework/ops/ops.hpp"
#include "voxgrad/optim/optim.hpp"

using Catch::Matchers::Contains;
using vg::test::bytes_of;

namespace {

vg::States states_of(const vg::Tensor& w, const vg::Tensor& b) {
  vg::ParamState weight, bias;
  weight.add("weight", w.clone());
  bias.add("bias", b.clone());
  vg::States states;
  states.insert("w", weight);
  states.insert("b", bias);
  return states;
}

void set(const vg::States& states, const char* path, const char* leaf, const vg::Tensor& value) {
  vg::State state = states.at(path);
  state.set(leaf, value);
}

}  // namespace

TEST_CASE("ema: PyTorch's averages", "[ema]") {
  const nlohmann::json golden = vg::test::golden::read(vg::test::golden::path_of("ema.json"));
  for (const vg::DType dtype : {vg::f64, vg::f32})
    for (const auto& c : golden.at("cases")) {
      const auto value = [&](const nlohmann::json& step, const char* of, const char* leaf) {
        return vg::test::golden::tensor(step.at(of).at(leaf), dtype);
      };
      const auto& steps = c.at("steps");
      const vg::States states = states_of(value(steps[0], "values", "weight"), value(steps[0], "values", "bias"));
      vg::Ema ema(states, {.decay = c.at("decay")});
      for (std::size_t i = 0; i < steps.size(); ++i) {
        if (i > 0) {
          set(states, "w", "weight", value(steps[i], "values", "weight"));
          set(states, "b", "bias", value(steps[i], "values", "bias"));
          ema.update();
        }
        INFO("decay " << ema.decay() << ", step " << i);
        const double tolerance = dtype == vg::f64 ? 1e-15 : 1e-6;
        CHECK(vg::test::golden::error(ema.average("w", "weight"), value(steps[i], "averages", "weight")) < tolerance);
        CHECK(vg::test::golden::error(ema.average("b", "bias"), value(steps[i], "averages", "bias")) < tolerance);
      }
    }
}

TEST_CASE("ema: the same bits for any number of threads", "[ema]") {
  const vg::Tensor start = vg::random::normal({1, 2}, {300000}), next = vg::random::normal({3, 4}, {300000});
  const auto run = [&](int threads) {
    const vg::test::ThreadsGuard scope(threads);
    const vg::States states = states_of(start, vg::Tensor::ones({2}));
    vg::Ema ema(states, {.decay = 0.9});
    for (int i = 0; i < 3; ++i) {
      ema.update();
      set(states, "w", "weight", next);
    }
    return bytes_of(ema.average("w", "weight"));
  };
  CHECK(run(1) == run(3));
}

TEST_CASE("ema: a scope in which the model has the averages", "[ema]") {
  const vg::States states = states_of(vg::Tensor::full({4}, 1), vg::Tensor::full({2}, 1));
  vg::Ema ema(states, {.decay = 0.5});
  ema.update();
  set(states, "w", "weight", vg::Tensor::full({4}, 3));
  ema.update();
  vg::State w = states.at("w");
  vg::sum(vg::square(w["weight"])).backward();
  const vg::Variable own = w["weight"];
  {
    const vg::EmaGuard scope(ema);
    CHECK(w["weight"].value().values() == std::vector<double>(4, 2));
    CHECK(w["weight"].requires_grad());
    CHECK_FALSE(w["weight"].grad().defined());
    w.writable("weight").data<float>()[0] = 77;  // writes to a copy, so the average does not change
  }
  CHECK(w["weight"].is(own));
  CHECK(w["weight"].grad().value().values() == std::vector<double>(4, 6));
  CHECK(ema.average("w", "weight").values() == std::vector<double>(4, 2));
}

TEST_CASE("ema: a checkpoint saves and restores it", "[ema]") {
  const vg::test::TempDir folder;
  const vg::States states = states_of(vg::Tensor::full({4}, 1), vg::Tensor::full({2}, 1));
  vg::Ema ema(states, {.decay = 0.75});
  set(states, "w", "weight", vg::Tensor::full({4}, 3));
  ema.update();
  set(states, "w", "weight", vg::Tensor::full({4}, 7));
  ema.update();
  vg::Checkpoint checkpoint;
  checkpoint.part("ema", ema).save(folder / "c.json");
  const vg::Snapshot held = checkpoint.snapshot();
  ema.update();
  held.save(folder / "d.json");
  CHECK(vg::test::read_bytes(folder / "c.json") == vg::test::read_bytes(folder / "d.json"));

  vg::Ema other(states, {.decay = 0.75});
  vg::Checkpoint again;
  again.part("ema", other).load(folder / "c.json");
  CHECK(other.updates() == 2);
  CHECK(other.average("w", "weight").values() == std::vector<double>(4, 4));
  other.update();  // continues like the first
  CHECK(bytes_of(other.average("w", "weight")) == bytes_of(ema.average("w", "weight")));

  vg::Ema slower(states, {.decay = 0.9});
  vg::Checkpoint wrong;
  wrong.part("ema", slower);
  CHECK_THAT(vg::test::message([&] { wrong.load(folder / "c.json"); }),
             Contains("decay: 0.75 in the state; here it is 0.9"));
  vg::Ema larger(states_of(vg::Tensor::full({5}, 1), vg::Tensor::full({2}, 1)), {.decay = 0.75});
  vg::Checkpoint unfit;
  unfit.part("ema", larger);
  CHECK_THAT(vg::test::message([&] { unfit.load(folder / "c.json"); }),
             Contains("\"w\", leaf \"weight\": is f32 (4,); must be f32 (5,)"));
  vg::States one;
  one.insert("w", states.at("w"));
  vg::Ema fewer(one, {.decay = 0.75});
  vg::Checkpoint few;
  few.part("ema", fewer);
  CHECK_THAT(vg::test::message([&] { few.load(folder / "c.json"); }), Contains("1 averages of leaves that are not here"));
}

TEST_CASE("ema: settings and leaves that do not fit", "[ema]") {
  vg::States states = states_of(vg::Tensor::ones({4}), vg::Tensor::ones({2}));
  for (const double decay : {-0.1, 1.0, std::nan("")})
    CHECK_THROWS_AS(vg::Ema(states, {.decay = decay}), vg::ValueError);
  CHECK_THROWS_AS(vg::Ema(vg::States()), vg::ValueError);
  vg::Ema ema(states);
  vg::State w = states.at("w");
  w.to(vg::f64);
  CHECK_THAT(vg::test::message([&] { ema.update(); }),
             Contains("[Ema] update: w, leaf weight, is f64 (4,); its average is f32 (4,)"));
  CHECK_THROWS_AS(vg::EmaGuard(ema), vg::ValueError);
  CHECK_THROWS_AS(ema.average("w", "bias"), vg::ValueError);
  vg::Variable undefined;
  CHECK_THROWS_AS(w.exchange("weight", undefined), vg::ValueError);
}

TEST_CASE("ema: a leaf that is not a float is copied", "[ema]") {
  vg::BatchState counts;
  counts.add("mean", vg::Tensor::ones({1}));
  counts.add("count", vg::Tensor::zeros({1}, vg::i32));
  vg::States states;
  states.insert("stats", counts);
  vg::Ema ema(states);
  counts.set("count", vg::Tensor::ones({1}, vg::i32));
  ema.update();
  CHECK(ema.average("stats", "count").item() == 1);
}
