// GradAccumulator: n small batches are equal to one large batch, and a run can be saved between them.
#include <catch2/catch.hpp>

#include "support/optim_toys.hpp"
#include "support/plain.hpp"
#include "support/temp_dir.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/checkpoint/checkpoint.hpp"
#include "voxgrad/framework/ops/ops.hpp"
#include "voxgrad/layers/layers.hpp"
#include "voxgrad/optim/optim.hpp"

using Catch::Matchers::Contains;
using vg::Tensor;
using vg::test::Toy;

namespace {

constexpr std::int64_t features = 5, rows = 4;

vg::Linear model(vg::DType dtype = vg::f64) {
  vg::Linear linear({.in_size = {features}, .out_features = 3});
  linear.to(dtype);
  vg::State weight = linear.states().at("weight");
  for (const auto& leaf : weight.leaves()) weight.set(leaf, Toy::numbers(weight[leaf].shape(), 5, dtype));
  return linear;
}

// The loss of the rows of `n` small batches from number `first` on.
vg::Variable loss(vg::Linear& linear, std::int64_t first, std::int64_t n = 1) {
  const Tensor all = Toy::numbers({64 * rows, features + 3}, 9, linear.states().at("weight")["weight"].dtype());
  const vg::Variable part = vg::slice(vg::Variable(all), 0, {first * rows, (first + n) * rows});
  return vg::mse_loss(vg::tanh(linear(vg::slice(part, 1, {0, features}))), vg::slice(part, 1, {features}));
}

double distance(vg::Linear& a, vg::Linear& b) {
  double worst = 0;
  for (const auto& [path, state] : a.states())
    for (const auto& leaf : state.leaves())
      worst = std::max(worst, vg::test::distance(state[leaf].value(), b.states().at(path)[leaf].value()));
  return worst;
}

}  // namespace

TEST_CASE("accumulator: small batches equal one large batch", "[optim]") {
  vg::Linear small = model(), large = model(), start = model();
  const auto run = [&](auto make, std::int64_t n, int steps) {
    auto a = make(small.parameters()), b = make(large.parameters());
    vg::GradAccumulator accumulator(*a, n);
    for (std::int64_t t = 0; t < steps; ++t) {
      for (std::int64_t i = 0; i < n; ++i) {
        loss(small, t * n + i).backward();
        CHECK(accumulator.count() == i);
        CHECK(accumulator.step() == (i + 1 == n));
        CHECK(a->steps() == t + (i + 1 == n));
      }
      CHECK_FALSE(small.states().at("weight")["weight"].grad().defined());
      loss(large, t * n, n).backward();
      b->step();
      b->zero_grad();
      CHECK(distance(small, large) < 1e-12);
    }
    CHECK(distance(small, start) > 1e-3);
  };
  const vg::Schedule cosine = vg::CosineWarmup({.lr = 0.1, .total_steps = 5});
  SECTION("AdamW") {
    run([&](const vg::States& s) { return std::make_unique<vg::AdamW>(s, vg::AdamWOptions{.lr = cosine}); }, 4, 5);
  }
  SECTION("SGD, whose steps have the gradient's size, clipped by norm") {
    run(
        [&](const vg::States& s) {
          return std::make_unique<vg::SGD>(s, vg::SGDOptions{.lr = cosine, .momentum = 0.9, .clip_norm = 0.05});
        },
        3, 5);
  }
  SECTION("SGD, clipped by value") {
    run(
        [&](const vg::States& s) {
          return std::make_unique<vg::SGD>(s, vg::SGDOptions{.lr = 0.5, .clip_value = 0.02});
        },
        8, 5);
  }
  SECTION("LAMB") {
    run([&](const vg::States& s) { return std::make_unique<vg::LAMB>(s, vg::LAMBOptions{.lr = 0.1}); }, 2, 5);
  }
  SECTION("every 1: the optimizer's own step, to the bit") {
    vg::Adam a(small.parameters(), {.lr = 0.1, .clip_norm = 0.05}),
        b(large.parameters(), {.lr = 0.1, .clip_norm = 0.05});
    vg::GradAccumulator accumulator(a, 1);
    for (int t = 0; t < 4; ++t) {
      loss(small, t).backward();
      CHECK(accumulator.step());
      loss(large, t).backward();
      b.step();
      b.zero_grad();
    }
    CHECK(distance(small, large) == 0);
  }
}

TEST_CASE("accumulator: a parameter without a gradient in some passes has 0 there", "[optim]") {
  Toy toy, mean;
  vg::SGD a(toy.states, {.lr = 1.0}), b(mean.states, {.lr = 1.0});
  vg::GradAccumulator accumulator(a, 2);
  toy.head.set_grad("weight", Tensor::full({5}, 3, vg::f64));
  accumulator.step();
  CHECK(accumulator.step());
  mean.head.set_grad("weight", Tensor::full({5}, 1.5, vg::f64));
  b.step();
  CHECK(toy.equals(mean));
}

TEST_CASE("accumulator: a run saved between two steps continues to the same bits", "[optim]") {
  const vg::test::TempDir folder;
  for (const auto dtype : {vg::f64, vg::f32}) {
    struct Run {
      vg::Linear linear;
      vg::NAdam optimizer;
      vg::GradAccumulator accumulator{optimizer, 4};
      explicit Run(vg::DType t) : linear(model(t)), optimizer(linear.parameters(), {.lr = 0.1}) {}
      Run(const Run&) = delete;
      Run& operator=(const Run&) = delete;
      void passes(std::int64_t from, std::int64_t to) {
        for (; from < to; ++from) {
          loss(linear, from).backward();
          accumulator.step();
        }
      }
      vg::Checkpoint checkpoint() {
        vg::Checkpoint c;
        c.model(linear).optimizer(optimizer).part("accumulator", accumulator);
        return c;
      }
    };
    Run whole(dtype);
    whole.passes(0, 14);
    for (const std::int64_t stop : {0, 1, 4, 6, 7}) {
      INFO("after " << stop);
      Run half(dtype), resumed(dtype);
      half.passes(0, stop);
      half.checkpoint().save(folder / "c.json");
      const vg::Snapshot held = half.checkpoint().snapshot();
      half.passes(stop, 14);
      held.save(folder / "d.json");  // continuing has not changed it
      CHECK(vg::test::read_bytes(folder / "c.json") == vg::test::read_bytes(folder / "d.json"));
      resumed.passes(0, 3);  // replaced by the load
      resumed.checkpoint().load(folder / "c.json");
      CHECK(resumed.accumulator.count() == stop % 4);
      resumed.passes(stop, 14);
      CHECK(distance(half.linear, whole.linear) == 0);
      CHECK(distance(resumed.linear, whole.linear) == 0);
      resumed.passes(14, 16);
      half.passes(14, 16);
      CHECK(distance(resumed.linear, half.linear) == 0);
    }
  }
}

TEST_CASE("accumulator: bad calls are refused", "[optim]") {
  Toy toy;
  vg::SGD optimizer(toy.states);
  CHECK_THROWS_WITH(vg::GradAccumulator(optimizer, 0), Contains("[GradAccumulator] every: got 0; must be at least 1"));
  vg::GradAccumulator four(optimizer, 4), two(optimizer, 2);
  toy.set_grads(0);
  four.step();
  four.step();
  vg::StateDict state = four.save_state();
  const auto problems = [](const vg::GradAccumulator& a, const vg::StateDict& b) {
    std::string all;
    for (const auto& line : a.check_state(b)) all += line + "\n";
    return all;
  };
  CHECK(problems(four, state).empty());
  CHECK_THAT(problems(two, state),
             Contains("every: 4 in the state; here it is 2") && Contains("count: missing or not in [0, 2)"));
  CHECK_THAT(problems(four, {}), Contains("every: missing in the state"));
  REQUIRE(state.parts.at(0).first == "body.0.weight");
  state.parts[0].second.tensors[0].second = Tensor::zeros({2}, vg::f32);
  state.parts[1].second.tensors.emplace_back("scale", Tensor::zeros({2}));
  CHECK_THAT(problems(four, state),
             Contains("\"body.0.weight\", leaf \"weight\": is f32 (2,); must be f64 (3, 4)") &&
                 Contains("\"head.weight\", leaf \"scale\": the optimizer has no such parameter"));

  // A step that is refused does not change the count and the gradients.
  vg::SGD heavy(toy.states, {.momentum = 0.5});
  vg::GradAccumulator one(heavy, 1);
  one.step();
  toy.head.to(vg::f32);
  toy.set_grads(1);
  CHECK_THROWS_WITH(one.step(), Contains("moment"));
  CHECK(heavy.steps() == 1);
  CHECK(toy.head["weight"].grad().defined());
}
