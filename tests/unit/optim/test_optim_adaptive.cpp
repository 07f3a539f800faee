// Adagrad, Adamax, NAdam, RAdam, Lion and LAMB: first steps computed by hand, their state, and errors.
// test_optim_golden.cpp compares whole runs; test_optim.cpp tests properties of every optimizer.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "support/optim_toys.hpp"
#include "support/plain.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/optim/optim.hpp"

using Catch::Matchers::Contains;
using vg::Tensor;
using vg::test::doubles;
using vg::test::param;
using vg::test::Toy;

namespace {

// One parameter, (1, -2), and steps from given gradients.
struct One {
  vg::ParamState w = param("w", doubles({1, -2}));
  vg::States states;

  One() { states.insert("w", w); }
  std::vector<double> after(vg::Optimizer& optimizer, const std::vector<Tensor>& grads) {
    for (const Tensor& g : grads) {
      w.set_grad("w", g);
      optimizer.step();
    }
    return w["w"].value().values();
  }
};

void close(const std::vector<double>& got, const std::vector<double>& want) {
  REQUIRE(got.size() == want.size());
  for (std::size_t i = 0; i < got.size(); ++i) CHECK(got[i] == Approx(want[i]).epsilon(1e-14).margin(1e-300));
}

}  // namespace

TEST_CASE("optim: the relatives of Adam equal steps computed by hand", "[optim]") {
  One one;
  SECTION("Adagrad: g / sqrt(sum of squares), and the rate falls by count") {
    vg::Adagrad optimizer(one.states, {.lr = 1.0, .lr_decay = 1.0, .eps = 0});
    close(one.after(optimizer, {doubles({3, -3}), doubles({4, 4})}), {1 - 1 - 0.4, -2 + 1 - 0.4});
  }
  SECTION("Adagrad: the sum's first value") {
    vg::Adagrad optimizer(one.states, {.lr = 1.0, .initial_accumulator_value = 16.0, .eps = 0});
    close(one.after(optimizer, {doubles({3, 0})}), {1 - 0.6, -2});
  }
  SECTION("Adamax: the first step is lr, whatever the gradient") {
    vg::Adamax optimizer(one.states, {.lr = 0.25, .eps = 0});
    close(one.after(optimizer, {doubles({1e-3, 1e3})}), {0.75, -2.25});
  }
  SECTION("NAdam: the first step is lr * (1 + mu (1 - beta1) / (1 - mu^2)), mu = beta1 / 2") {
    vg::NAdam optimizer(one.states, {.lr = 0.25, .betas = {0.8, 0.9}, .eps = 0, .momentum_decay = 0.0});
    const double size = 0.25 * (1 + 0.4 * 0.2 / 0.84);
    close(one.after(optimizer, {doubles({1e-3, 1e3})}), {1 - size, -2 - size});
  }
  SECTION("RAdam: the first step is along the gradient itself") {
    vg::RAdam optimizer(one.states, {.lr = 0.5});
    close(one.after(optimizer, {doubles({3, -8})}), {1 - 1.5, -2 + 4});
  }
  SECTION("Lion: steps of lr by the sign, 0 stays, and the decay is apart") {
    vg::Lion optimizer(one.states, {.lr = 0.25, .weight_decay = 2.0});
    close(one.after(optimizer, {doubles({1e-3, 0})}), {0.5 - 0.25, -1});
  }
  SECTION("LAMB: a step as long as lr times the parameter") {
    vg::LAMB optimizer(one.states, {.lr = 0.25, .eps = 0, .weight_decay = 0});
    const double size = 0.25 * std::sqrt(5.0 / 2.0);
    close(one.after(optimizer, {doubles({1e-3, 1e3})}), {1 - size, -2 - size});
  }
  SECTION("LAMB: no ratio for a parameter, or a direction, of 0") {
    one.w.set("w", doubles({0, 0}));
    vg::LAMB optimizer(one.states, {.lr = 0.25, .eps = 0, .weight_decay = 0});
    close(one.after(optimizer, {doubles({-1e-3, 1e3})}), {0.25, -0.25});
    One still;
    vg::LAMB other(still.states, {.lr = 0.25, .weight_decay = 0});
    close(still.after(other, {doubles({0, 0})}), {1, -2});
  }
}

namespace {

// Tests of the features of the base class with this kind and its default betas.
template <class O, class Options>
void check_common_options() {
  const auto after = [](const Options& options, auto prepare) {
    Toy toy;
    O optimizer(toy.states, options);
    for (int t = 0; t < 3; ++t) {
      toy.set_grads(t);
      prepare(toy.states);
      optimizer.step();
    }
    return toy;
  };
  const auto as_they_are = [](const vg::States&) {};
  const auto distance = [](const Toy& a, const Toy& b) {
    return std::max(vg::test::distance(a.body["weight"].value(), b.body["weight"].value()),
                    vg::test::distance(a.head["weight"].value(), b.head["weight"].value()));
  };
  const auto with = [](auto change) {
    Options o;
    o.lr = 0.05;
    change(o);
    return o;
  };
  const Options plain = with([](Options&) {});
  const Toy by_norm = after(with([](Options& o) { o.clip_norm = 0.5; }), as_they_are);
  CHECK(distance(by_norm, after(plain, [](const vg::States& s) { vg::clip_by_global_norm(s, 0.5); })) < 1e-12);
  const Toy by_value = after(with([](Options& o) { o.clip_value = 0.2; }), as_they_are);
  CHECK(distance(by_value, after(plain, [](const vg::States& s) { vg::clip_by_value(s, 0.2); })) < 1e-12);

  const Toy still = after(with([](Options& o) { o.groups = {{.path = "head", .lr_scale = 0.0}}; }), as_they_are);
  CHECK(vg::test::same_bits(still.head["weight"].value(), Toy().head["weight"].value()));
  const Toy decayed = after(with([](Options& o) { o.weight_decay = 0.5; }), as_they_are);
  const Toy half = after(with([](Options& o) { o.groups = {{.path = "head", .weight_decay = 0.5}}; }), as_they_are);
  CHECK(vg::test::same_bits(half.head["weight"].value(), decayed.head["weight"].value()));
  CHECK(vg::test::same_bits(half.body["weight"].value(), after(plain, as_they_are).body["weight"].value()));
  CHECK(distance(decayed, after(plain, as_they_are)) > 1e-3);

  // The rates are 0.05, 0.025 and 0, so the third step changes nothing.
  const auto two = after(with([](Options& o) { o.lr = vg::Polynomial({.lr = 0.05, .total_steps = 2}); }), as_they_are);
  Toy by_hand;
  vg::ReduceOnPlateau rate({.lr = 0.05, .factor = 0.5, .patience = 0});
  O optimizer(by_hand.states, with([&](Options& o) { o.lr = rate; }));
  for (int t = 0; t < 2; ++t) {
    by_hand.set_grads(t);
    optimizer.step();
    rate.observe(1);
    rate.observe(1);  // no improvement
  }
  CHECK(two.equals(by_hand));
}

}  // namespace

TEST_CASE("optim: the relatives of Adam clip, and have groups and schedules", "[optim]") {
  check_common_options<vg::Adagrad, vg::AdagradOptions>();
  check_common_options<vg::Adamax, vg::AdamaxOptions>();
  check_common_options<vg::NAdam, vg::NAdamOptions>();
  check_common_options<vg::RAdam, vg::RAdamOptions>();
  check_common_options<vg::Lion, vg::LionOptions>();
  check_common_options<vg::LAMB, vg::LAMBOptions>();
}

TEST_CASE("optim: LAMB's norms are each leaf's own", "[optim]") {
  Toy together, apart;
  vg::LAMB both(together.states, {.lr = 0.1});
  vg::States head;
  head.insert("head.weight", apart.head);
  vg::LAMB alone(head, {.lr = 0.1});
  for (int t = 0; t < 3; ++t) {
    together.set_grads(t);
    apart.set_grads(t);
    both.step();
    alone.step();
  }
  CHECK(vg::test::same_bits(together.head["weight"].value(), apart.head["weight"].value()));
}

TEST_CASE("optim: NAdam keeps the product of its momenta", "[optim]") {
  Toy toy;
  vg::NAdam optimizer(toy.states, {.lr = vg::OneCycle({.max_lr = 0.05, .total_steps = 12}), .momentum_decay = 0.5});
  double product = 1;
  for (int t = 0; t < 4; ++t) {
    product *= optimizer.scheduled_momentum().value() * (1 - 0.5 * std::pow(0.96, 0.5 * (t + 1)));
    toy.set_grads(t);
    if (t == 3) toy.head.set_grad("weight", {});  // its product has one factor less
    optimizer.step();
  }
  vg::StateDict saved = optimizer.save_state();
  vg::StateDict& body = saved.parts.back().second.parts.front().second;
  CHECK(body.part("weight").get<double>("mu_product") == Approx(product).epsilon(1e-14));
  const double shorter = saved.part("moments").part("head.weight").part("weight").get<double>("mu_product");
  CHECK(shorter > 1.5 * product);

  const auto problems = [&](const vg::StateDict& b) {
    std::string all;
    for (const auto& line : optimizer.check_state(b)) all += line + "\n";
    return all;
  };
  CHECK(problems(saved).empty());
  auto& values = body.parts.front().second.values;
  REQUIRE(values.back().first == "mu_product");
  values.back().second = std::numeric_limits<double>::quiet_NaN();
  CHECK_THAT(problems(saved), Contains("\"body.0.weight\", leaf \"weight\": the number \"mu_product\" is missing"));
  values.pop_back();
  CHECK_THAT(problems(saved), Contains("the number \"mu_product\" is missing or not finite"));
  CHECK_THROWS_AS(optimizer.load_state(saved), vg::IoError);
}

TEST_CASE("optim: the relatives of Adam refuse bad options", "[optim]") {
  Toy toy;
  const auto& s = toy.states;
  const double nan_value = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_WITH(vg::Adagrad(s, {.lr_decay = -1.0}), Contains("[Adagrad] lr_decay: got -1; must be finite and at"));
  CHECK_THROWS_WITH(vg::Adagrad(s, {.initial_accumulator_value = -0.5}),
                    Contains("[Adagrad] initial_accumulator_value: got -0.5"));
  CHECK_THROWS_WITH(vg::Adagrad(s, {.eps = nan_value}), Contains("[Adagrad] eps: got nan"));
  CHECK_THROWS_WITH(vg::Adagrad(s, {.lr = vg::OneCycle({.max_lr = 1, .total_steps = 5})}),
                    Contains("[Adagrad] lr: got a schedule that moves the momentum"));
  CHECK_THROWS_AS(vg::Adagrad(s, {.groups = {{.path = "head", .lr = vg::OneCycle({.max_lr = 1, .total_steps = 5})}}}),
                  vg::ValueError);
  CHECK_NOTHROW(vg::Adagrad(s, {.lr = vg::OneCycle({.max_lr = 1, .total_steps = 5, .cycle_momentum = false})}));
  CHECK_THROWS_WITH(vg::Adamax(s, {.betas = {0.9, 1.0}}), Contains("[Adamax] betas[1]: got 1; must be in [0, 1)"));
  CHECK_THROWS_WITH(vg::Adamax(s, {.eps = -1.0}), Contains("[Adamax] eps: got -1"));
  CHECK_THROWS_WITH(vg::NAdam(s, {.betas = {-0.5, 0.9}}), Contains("[NAdam] betas[0]: got -0.5"));
  CHECK_THROWS_WITH(vg::NAdam(s, {.eps = -1.0}), Contains("[NAdam] eps: got -1"));
  CHECK_THROWS_WITH(vg::NAdam(s, {.momentum_decay = -0.1}), Contains("[NAdam] momentum_decay: got -0.1"));
  CHECK_THROWS_WITH(vg::RAdam(s, {.betas = {1.5, 0.9}}), Contains("[RAdam] betas[0]: got 1.5"));
  CHECK_THROWS_WITH(vg::RAdam(s, {.eps = nan_value}), Contains("[RAdam] eps: got nan"));
  CHECK_THROWS_WITH(vg::Lion(s, {.betas = {0.9, 2.0}}), Contains("[Lion] betas[1]: got 2"));
  CHECK_THROWS_WITH(vg::Lion(s, {.weight_decay = -1.0}), Contains("[Lion] weight_decay: got -1"));
  CHECK_THROWS_WITH(vg::LAMB(s, {.betas = {1.0, 0.9}}), Contains("[LAMB] betas[0]: got 1"));
  CHECK_THROWS_WITH(vg::LAMB(s, {.eps = -1e-9}), Contains("[LAMB] eps: got -1e-09"));
  CHECK(toy.equals(Toy()));
}
