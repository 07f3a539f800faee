// Optimizers, schedules and clipping: small cases computed by hand, and properties of every optimizer: saving in the
// middle, groups, shared states, retained graphs, bad settings. test_optim_golden.cpp compares with PyTorch.
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "support/golden.hpp"
#include "support/optim_toys.hpp"
#include "support/plain.hpp"
#include "support/threads_guard.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/framework/ops/reduce.hpp"
#include "voxgrad/optim/optim.hpp"

using Catch::Matchers::Contains;
using vg::Tensor;
using vg::test::optimizer_kinds;
using vg::test::param;
using vg::test::same_bits;
using vg::test::Toy;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double nan_value = std::numeric_limits<double>::quiet_NaN();

Tensor f64(std::initializer_list<double> values) {
  return Tensor::of<double>({static_cast<std::int64_t>(values.size())}, values);
}

}  // namespace

TEST_CASE("optim: steps computed by hand", "[optim]") {
  vg::ParamState w = param("w", f64({1, -2}));
  vg::States states;
  states.insert("w", w);
  const auto after = [&](vg::Optimizer& optimizer, std::vector<Tensor> grads) {
    for (const Tensor& g : grads) {
      w.set_grad("w", g);
      optimizer.step();
    }
    return w["w"].value().values();
  };
  SECTION("SGD") {
    vg::SGD optimizer(states, {.lr = 0.5});
    CHECK(after(optimizer, {f64({1, 2}), f64({0, -4})}) == std::vector<double>{0.5, -1});
    CHECK(optimizer.steps() == 2);
  }
  SECTION("momentum and L2") {  // g = (1 + 0.5, 2 - 1), then buf = 0.5 * (1.5, 1) + 0.5 * p
    vg::SGD optimizer(states, {.lr = 1.0, .momentum = 0.5, .weight_decay = 0.5});
    CHECK(after(optimizer, {f64({1, 2}), f64({0, 0})}) == std::vector<double>{-0.5 - 0.5, -3 + 1});
  }
  SECTION("Nesterov: g + momentum * buf, buf = g at first") {
    vg::SGD optimizer(states, {.lr = 1.0, .momentum = 0.5, .nesterov = true});
    CHECK(after(optimizer, {f64({1, 2})}) == std::vector<double>{-0.5, -5});
  }
  SECTION("clip by norm comes before clip by value") {  // (30, 40) -> (3, 4) -> (3, 3.5)
    vg::SGD optimizer(states, {.lr = 1.0, .clip_norm = 5.0, .clip_value = 3.5});
    const auto p = after(optimizer, {f64({30, 40})});
    CHECK(p[0] == Approx(1 - 3).epsilon(1e-6));
    CHECK(p[1] == Approx(-2 - 3.5).epsilon(1e-12));
    CHECK(w["w"].grad().value().values() == std::vector<double>{30, 40});
  }
  SECTION("Adam: the first step is lr, whatever the gradient; a zero one moves nothing") {
    vg::Adam optimizer(states, {.lr = 0.25, .eps = 0});
    const auto p = after(optimizer, {f64({1e-3, 1e3})});
    CHECK(p[0] == Approx(0.75).epsilon(1e-12));
    CHECK(p[1] == Approx(-2.25).epsilon(1e-12));
  }
  SECTION("AdamW: decay alone") {
    vg::AdamW optimizer(states, {.lr = 0.5, .weight_decay = 0.5});
    CHECK(after(optimizer, {f64({0, 0})}) == std::vector<double>{0.75, -1.5});
  }
  SECTION("RMSProp: the first step is lr / sqrt(1 - alpha)") {
    vg::RMSProp optimizer(states, {.lr = 0.25, .alpha = 0.75, .eps = 0});
    CHECK(after(optimizer, {f64({8, -1})}) == std::vector<double>{0.5, -1.5});
  }
  SECTION("NaN and infinity are not hidden") {
    for (const auto& [name, make] : optimizer_kinds()) {
      INFO(name);
      Toy toy;
      const auto optimizer = make(toy.states);
      toy.set_grads(0);
      toy.head.set_grad("weight", Tensor::full({5}, nan_value, vg::f64));
      optimizer->step();
      CHECK(std::isnan(toy.head["weight"].value().value_at(4)));
    }
    vg::SGD clipped(states, {.lr = 1.0, .clip_norm = 1.0});
    CHECK(std::isnan(after(clipped, {f64({1, infinity})})[1]));
  }
}

TEST_CASE("optim: schedules at and past their ends", "[optim]") {
  const vg::Schedule constant = 0.25;
  CHECK(constant.at(0).lr == 0.25);
  CHECK(constant.at(1000000).lr == 0.25);
  CHECK_FALSE(constant.gives_momentum());
  CHECK(constant.description().kind == "Constant");
  CHECK_THROWS_WITH(constant.at(-1), Contains("step") && Contains("-1"));

  const vg::OneCycle cycle({.max_lr = 1.0, .total_steps = 10, .pct_start = 0.5});
  CHECK(cycle.at(4).lr == 1.0);
  CHECK(cycle.at(4).momentum == 0.85);
  CHECK(cycle.at(9).lr == Approx(1.0 / 25 / 1e4));
  CHECK(cycle.at(12345).lr == cycle.at(9).lr);
  CHECK(cycle.at(12345).momentum == cycle.at(9).momentum);
  CHECK_FALSE(vg::OneCycle({.max_lr = 1.0, .total_steps = 10, .cycle_momentum = false}).at(3).momentum);
  for (double pct : {0.0, 0.1, 1.0})
    for (std::int64_t total : {1, 2, 10})
      for (std::int64_t t = 0; t < total; ++t)
        CHECK(std::isfinite(vg::OneCycle({.max_lr = 1.0, .total_steps = total, .pct_start = pct}).at(t).lr));

  const vg::CosineWarmup cosine({.lr = 1.0, .warmup_steps = 2, .total_steps = 4, .eta_min = 0.5});
  CHECK(cosine.at(1) == 0.5);
  CHECK(cosine.at(2) == 1.0);
  CHECK(cosine.at(400) == 0.5);
}

namespace {
struct Sawtooth {  // a user's schedule
  double top = 1.0;
  double at(std::int64_t step) const { return top / static_cast<double>(1 + step % 2); }
  vg::ModuleConfig description() const { return {"Sawtooth", {{"top", top}}, {}}; }
};
}  // namespace

TEST_CASE("optim: a user's schedule", "[optim]") {
  Toy toy;
  vg::SGD optimizer(toy.states, {.lr = Sawtooth{}});
  CHECK(optimizer.lr() == 1.0);
  optimizer.step();
  CHECK(optimizer.lr() == 0.5);
  vg::SGD bad(toy.states, {.lr = Sawtooth{.top = -1}});
  toy.set_grads(0);
  CHECK_THROWS_WITH(bad.step(), Contains("lr") && Contains("-1"));
  CHECK(bad.steps() == 0);
  CHECK(toy.equals(Toy()));
}

TEST_CASE("optim: update() equals step(), f32 stays near f64, threads change no bit", "[optim]") {
  for (const auto& [name, make] : optimizer_kinds()) {
    INFO(name);
    Toy by_step, by_update, narrow(vg::f32);
    const auto a = make(by_step.states), b = make(by_update.states), c = make(narrow.states);
    for (int t = 0; t < 12; ++t) {
      by_step.set_grads(t);
      narrow.set_grads(t);
      a->step();
      b->update(by_update.grads(t));
      c->step();
      CHECK(by_step.equals(by_update));
      CHECK(vg::test::golden::error(narrow.body["weight"].value(), by_step.body["weight"].value()) < 1e-4);
    }
    CHECK_FALSE(by_update.body["weight"].grad().defined());
    a->zero_grad();
    CHECK_FALSE(by_step.body["weight"].grad().defined());
  }
  for (const auto& [name, make] : optimizer_kinds()) {
    INFO(name);
    std::vector<Toy> toys;
    for (int n : {1, 2, 3, 8}) {
      const vg::test::ThreadsGuard scope(n);
      toys.emplace_back(vg::f64, 11000);  // 132000 weights: three parts
      const auto optimizer = make(toys.back().states);
      for (int t = 0; t < 2; ++t) {
        toys.back().set_grads(t);
        optimizer->step();
      }
      CHECK(toys.back().equals(toys.front()));
    }
    CHECK_FALSE(toys.front().equals(Toy(vg::f64, 11000)));
  }
}

TEST_CASE("optim: a run that is saved in the middle continues with the same bits", "[optim]") {
  for (const auto dtype : {vg::f32, vg::f64})
    for (const auto& [name, make] : optimizer_kinds()) {
      INFO(name);
      Toy whole(dtype), half(dtype);
      const auto a = make(whole.states), b = make(half.states);
      for (int t = 0; t < 10; ++t) {
        whole.set_grads(t);
        if (t == 2) whole.head.set_grad("weight", {});  // one parameter has had fewer updates than the others
        a->step();
        if (t >= 5) continue;
        half.set_grads(t);
        if (t == 2) half.head.set_grad("weight", {});
        b->step();
      }
      const vg::StateDict saved = b->save_state();
      Toy resumed(dtype);
      resumed.copy(half);
      for (int t = 5; t < 7; ++t) {  // continuing does not change the saved state dict
        half.set_grads(t);
        b->step();
      }
      const auto c = make(resumed.states);
      CHECK(c->check_state(saved).empty());
      c->load_state(saved);
      CHECK(c->steps() == 5);
      for (int t = 5; t < 10; ++t) {
        resumed.set_grads(t);
        c->step();
      }
      CHECK(resumed.equals(whole));
    }
}

TEST_CASE("optim: check_state lists all differences and changes nothing", "[optim]") {
  Toy toy;
  vg::Adam optimizer(toy.states, {.lr = 0.1});
  toy.set_grads(0);
  optimizer.step();
  const vg::StateDict good = optimizer.save_state();
  const auto problems = [&](const vg::StateDict& b) {
    std::string all;
    for (const auto& line : optimizer.check_state(b)) all += line + "\n";
    return all;
  };
  const auto part = [](vg::StateDict& b, const std::string& name) -> vg::StateDict& {
    for (auto& [key, p] : b.parts)
      if (key == name) return p;
    throw std::runtime_error(name);
  };
  CHECK(problems(good).empty());
  CHECK_THAT(problems(vg::SGD(toy.states).save_state()), Contains("SGD") && Contains("Adam"));
  CHECK_THAT(problems(vg::AdamW(toy.states).save_state()), Contains("kind"));
  CHECK_THAT(problems(vg::Adam(toy.states, {.lr = 0.2}).save_state()),
             Contains("settings.lr.lr: 0.2 in the state; here it is 0.1\n"
                      "(to go on with the settings here: optimizer.allow_other_settings() before the load)"));
  CHECK_THAT(problems(vg::Adam(toy.states, {.lr = 0.1, .betas = {0.8, 0.9}, .clip_norm = 2.0}).save_state()),
             Contains("settings.betas: [0.8, 0.9]") && Contains("settings.clip_norm: 2"));
  CHECK_THAT(problems({}), Contains("kind"));
  CHECK(optimizer.check_state(vg::Adam(toy.states, {.lr = Sawtooth{}}).save_state()).size() == 2);

  vg::StateDict bad = good;
  auto& moments = part(bad, "moments");
  auto& body = part(moments, "body.0.weight");
  part(body, "weight").tensors[0].second = Tensor::zeros({3, 4}, vg::f32);
  part(body, "bias").tensors[1].second = Tensor::zeros({5}, vg::f64);
  part(body, "bias").tensors.emplace_back("extra", Tensor::zeros({1}));
  body.parts.emplace_back("stranger", vg::StateDict{});
  moments.parts.erase(moments.parts.begin() + 1);
  CHECK_THAT(problems(bad), Contains("\"body.0.weight\", leaf \"weight\": exp_avg is f32 (3, 4); must be f64 (3, 4)") &&
                                Contains("exp_avg_sq is f64 (5,)") && Contains("extra is unexpected") &&
                                Contains("leaf \"stranger\": unexpected") &&
                                Contains("\"head.weight\", leaf \"weight\": missing"));
  CHECK_THROWS_AS(optimizer.load_state(bad), vg::IoError);
  bad = good;
  bad.values = {{"kind", std::string("Adam")}, {"steps", std::int64_t{-1}}};
  CHECK_THAT(problems(bad), Contains("steps"));
  CHECK(problems(optimizer.save_state()).empty());
  CHECK(optimizer.steps() == 1);

  vg::Adam slower(toy.states, {.lr = 0.01});
  CHECK_FALSE(slower.check_state(good).empty());
  slower.allow_other_settings();
  slower.load_state(good);
  CHECK(slower.steps() == 1);
  CHECK(slower.lr() == 0.01);
}

TEST_CASE("optim: groups", "[optim]") {
  Toy toy;
  vg::SGD optimizer(toy.states, {.lr = 0.5,
                                 .weight_decay = 1.0,
                                 .groups = {{.path = "head", .lr_scale = 0.1, .weight_decay = 0.0},
                                            {.leaf = "bias", .lr = vg::Exponential({.lr = 1.0, .gamma = 0.5})},
                                            {.path = "body.0.weight.weight", .lr = 2.0, .lr_scale = 0.5}}});
  CHECK(optimizer.lr() == 0.5);
  CHECK(optimizer.lr("head.weight", "weight") == Approx(0.05));
  CHECK(optimizer.lr("body.0.weight", "bias") == 1.0);
  CHECK(optimizer.lr("body.0.weight", "weight") == 1.0);
  const Toy before;
  toy.set_grads(0);
  optimizer.step();
  CHECK(optimizer.lr("body.0.weight", "bias") == 0.5);
  const auto moved = [&](const vg::State& now, const vg::State& then, const std::string& leaf, double lr,
                         double decay) {
    for (std::int64_t i = 0; i < now[leaf].numel(); ++i) {
      const double p = then[leaf].value().value_at(i), g = now[leaf].grad().value().value_at(i);
      CHECK(now[leaf].value().value_at(i) == Approx(p - lr * (g + decay * p)).epsilon(1e-12));
    }
  };
  moved(toy.head, before.head, "weight", 0.05, 0.0);
  moved(toy.body, before.body, "bias", 1.0, 1.0);
  moved(toy.body, before.body, "weight", 1.0, 1.0);

  CHECK_THROWS_WITH(vg::SGD(toy.states, {.groups = {{.path = "hea"}}}),
                    Contains("groups") && Contains("\"hea\"") && Contains("fits no parameter"));
  CHECK_THROWS_WITH(vg::SGD(toy.states, {.groups = {{.path = "head"}, {.path = "head"}}}), Contains("twice"));
  CHECK_THROWS_AS(vg::SGD(toy.states, {.groups = {{.lr_scale = 0.5}}}), vg::ValueError);
}

TEST_CASE("optim: a state reachable by two paths is updated once", "[optim]") {
  vg::ParamState w = param("w", f64({1, 2}));
  vg::States states;
  states.insert("encoder", w);
  states.insert("decoder", w);
  vg::SGD optimizer(states, {.lr = 1.0, .clip_norm = 1e9});
  w.set_grad("w", f64({1, 1}));
  optimizer.step();
  CHECK(w["w"].value().values() == std::vector<double>{0, 1});
  CHECK(vg::global_norm(states) == Approx(std::sqrt(2.0)));
  const auto gradient = vg::grad([&](const vg::Args&) { return vg::sum(vg::square(w["w"])); }, states);
  optimizer.update(gradient({}).grads.states);
  CHECK(w["w"].value().values() == std::vector<double>{0, -1});
}

TEST_CASE("optim: a retained graph keeps the old value", "[optim]") {
  Toy toy;
  vg::AdamW optimizer(toy.states, {.lr = 0.1});
  const vg::Variable old = toy.body["weight"];
  const vg::Variable loss = vg::sum(vg::square(toy.body["weight"]) * toy.body["weight"]);
  const auto first = vg::gradients(loss, {old}, vg::GradientsOptions{.retain_graph = true});
  const Tensor kept = first[0].value().clone();
  loss.backward({.retain_graph = true});
  optimizer.step();
  CHECK(same_bits(vg::gradients(loss, {old}, vg::GradientsOptions{.retain_graph = true})[0].value(), kept));
  CHECK(same_bits(old.value(), Toy().body["weight"].value()));
  CHECK_FALSE(same_bits(toy.body["weight"].value(), old.value()));
  CHECK(toy.body["weight"].grad().defined());
  CHECK_FALSE(toy.head["weight"].grad().defined());
  CHECK(same_bits(toy.head["weight"].value(), Toy().head["weight"].value()));  // no gradient: skipped

  optimizer.zero_grad();
  const void* buffer = toy.body["weight"].value().raw();
  vg::sum(vg::square(toy.body["weight"])).backward();
  optimizer.step();
  CHECK(toy.body["weight"].value().raw() == buffer);  // no other handle exists, so it is changed in place
}

TEST_CASE("optim: clipping functions", "[optim]") {
  Toy toy;
  toy.set_grads(1);
  toy.body.set_grad("bias", {});
  const Tensor shared = toy.head["weight"].grad().value();
  const std::vector<double> before = shared.values();
  const double norm = vg::global_norm(toy.states);
  CHECK(vg::clip_by_global_norm(toy.states, 2 * norm) == norm);
  CHECK(toy.head["weight"].grad().value().values() == before);
  CHECK(vg::clip_by_global_norm(toy.states, 0.5) == norm);
  CHECK(vg::global_norm(toy.states) == Approx(0.5).epsilon(1e-5));
  CHECK(shared.values() == before);  // a new tensor was set
  vg::clip_by_value(toy.states, 0.01);
  for (double g : toy.head["weight"].grad().value().values()) CHECK(std::abs(g) <= 0.01);

  toy.head.set_grad("weight", f64({1e300, 0, 0, 0, 0}));  // its square overflows, the norm does not
  CHECK(vg::global_norm(toy.states) == Approx(1e300));
  toy.head.set_grad("weight", f64({infinity, 1, 0, 0, 0}));
  CHECK_THROWS_AS(vg::clip_by_global_norm(toy.states, 1.0, true), vg::ValueError);
  CHECK(toy.head["weight"].grad().value().value_at(1) == 1);
  CHECK(vg::clip_by_global_norm(toy.states, 1.0) == infinity);
  CHECK(std::isnan(toy.head["weight"].grad().value().value_at(0)));
  CHECK(toy.head["weight"].grad().value().value_at(1) == 0);
  vg::clip_by_value(toy.states, 1.0);
  CHECK(std::isnan(toy.head["weight"].grad().value().value_at(0)));
  CHECK_THROWS_AS(vg::clip_by_global_norm(toy.states, 0.0), vg::ValueError);
  CHECK_THROWS_AS(vg::clip_by_value(toy.states, nan_value), vg::ValueError);
}

TEST_CASE("optim: bad settings and arguments", "[optim]") {
  Toy toy;
  const auto& s = toy.states;
  CHECK_THROWS_WITH(vg::SGD(s, {.lr = -0.5}), Contains("lr") && Contains("-0.5") && Contains("at least 0"));
  CHECK_THROWS_WITH(vg::SGD(s, {.momentum = 1.0}), Contains("[SGD] momentum: got 1; must be in [0, 1)"));
  CHECK_THROWS_WITH(vg::SGD(s, {.nesterov = true}), Contains("nesterov"));
  CHECK_NOTHROW(vg::SGD(s, {.lr = vg::OneCycle({.max_lr = 1, .total_steps = 5}), .nesterov = true}));
  CHECK_THROWS_WITH(vg::SGD(s, {.weight_decay = -1.0}), Contains("weight_decay: got -1"));
  CHECK_THROWS_WITH(vg::SGD(s, {.clip_norm = 0.0}), Contains("clip_norm: got 0"));
  CHECK_THROWS_WITH(vg::SGD(s, {.clip_value = nan_value}), Contains("clip_value: got nan"));
  CHECK_THROWS_WITH(vg::Adam(s, {.betas = {1.0, 0.9}}), Contains("[Adam] betas[0]: got 1"));
  CHECK_THROWS_WITH(vg::AdamW(s, {.betas = {0.9, -0.1}}), Contains("[AdamW] betas[1]: got -0.1"));
  CHECK_THROWS_WITH(vg::AdamW(s, {.eps = nan_value}), Contains("eps: got nan"));
  CHECK_THROWS_WITH(vg::RMSProp(s, {.alpha = 1.5}), Contains("alpha: got 1.5"));
  CHECK_THROWS_WITH(vg::RMSProp(s, {.momentum = -0.1}), Contains("momentum: got -0.1"));
  CHECK_THROWS_WITH(vg::OneCycle({.max_lr = 1.0}), Contains("total_steps: got 0"));
  CHECK_THROWS_WITH(vg::OneCycle({.total_steps = 3}), Contains("max_lr: got nan"));
  CHECK_THROWS_WITH(vg::OneCycle({.max_lr = 1, .total_steps = 3, .anneal_strategy = "cosine"}), Contains("\"cosine\""));
  CHECK_THROWS_WITH(vg::CosineWarmup({.lr = 1, .warmup_steps = 3, .total_steps = 3}), Contains("warmup_steps: got 3"));
  CHECK_THROWS_WITH(vg::StepDecay({.lr = 1}), Contains("step_size: got 0"));
  CHECK_THROWS_WITH(vg::MultiStepDecay({.lr = 1, .milestones = {3, 2}}), Contains("milestones: got 2"));
  CHECK_THROWS_WITH(vg::Exponential({.lr = 1}), Contains("gamma: got nan"));

  CHECK_THROWS_WITH(vg::SGD(vg::States{}), Contains("states"));
  vg::States wrong = s;
  wrong.insert("norm.running", vg::BatchState());
  CHECK_THROWS_WITH(vg::SGD(wrong), Contains("norm.running") && Contains("BatchState"));
  wrong = s;
  wrong.insert("head.weight", param("w", f64({1})));
  CHECK_THROWS_WITH(vg::SGD(wrong), Contains("head.weight") && Contains("twice"));

  vg::SGD optimizer(s, {.momentum = 0.5});
  vg::StateGrads grads = toy.grads(0);
  grads.entries.push_back({"tail", {{"weight", f64({1})}}});
  CHECK_THROWS_WITH(optimizer.update(grads), Contains("tail"));
  grads.entries.back() = {"head.weight", {{"weight", f64({1})}}};
  grads.entries[1].leaves.clear();
  CHECK_THROWS_WITH(optimizer.update(grads), Contains("head.weight.weight") && Contains("(1,)") && Contains("(5,)"));
  CHECK(optimizer.steps() == 0);
  CHECK(toy.equals(Toy()));
  toy.set_grads(0);
  optimizer.step();
  toy.head.to(vg::f32);
  toy.set_grads(1);
  CHECK_THROWS_WITH(optimizer.step(), Contains("head.weight.weight") && Contains("moment"));
}
