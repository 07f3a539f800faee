// Losses: PyTorch's numbers, formulas, NaNs, and the arguments that are refused.
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "support/op_inputs.hpp"
#include "support/plain.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/ops/ops.hpp"

using namespace vg;
using namespace vg::test;
using Catch::Matchers::Contains;

TEST_CASE("losses have PyTorch's numbers", "[loss]") {
  Tensor z({30, 4}, f64), ramp({30, 4}, f64), t({30, 4}, f64);
  for (std::int64_t i = 0; i < 120; ++i) {
    z.data<double>()[i] = static_cast<double>((i * 37) % 101) / 25 - 2;
    ramp.data<double>()[i] = static_cast<double>(i);
    t.data<double>()[i] = static_cast<double>((i * 29) % 11) / 10;
  }
  const Tensor y = labels_for({30}, 4), some = labels_for({30}, 4, -7, true);
  const auto check = [&](const std::function<Variable(const Variable&)>& f, double value, double slope) {
    for (DType dtype : {f64, f32}) {
      const Variable v(z.to(dtype), true);
      const Variable loss = f(v);
      CHECK(loss.shape() == Shape{});
      CHECK(loss.item() == Approx(value).epsilon(dtype == f64 ? 1e-12 : 1e-6));
      loss.backward();
      CHECK(sum(cast(v.grad(), f64) * Variable(ramp)).item() == Approx(slope).epsilon(dtype == f64 ? 1e-11 : 1e-4));
    }
  };
  const std::vector<double> w{0.5, 2, 1, 0.25};
  check([&](const Variable& v) { return cross_entropy(v, y); }, 2.240090261847774, 0.25523937673388986);
  check([&](const Variable& v) { return cross_entropy(v, y, {.weight = w}); }, 2.226167639200695, 0.2558714694725115);
  check([&](const Variable& v) { return cross_entropy(v, some, {.ignore_index = -7}); }, 2.1700178640423022,
        0.3760416523158181);
  check([&](const Variable& v) { return cross_entropy(v, y, {.label_smoothing = 0.1}); }, 2.2089235951811075,
        0.23190604340055465);
  check(
      [&](const Variable& v) {
        return cross_entropy(v, some, {.weight = w, .ignore_index = -7, .label_smoothing = 0.3});
      },
      2.0142290340025557, 0.3272154324325882);
  check([&](const Variable& v) { return bce_with_logits(v, cast(Variable(t), v.dtype())); }, 0.8593766762156275,
        -0.4848097936551258);
  check([&](const Variable& v) { return bce_with_logits(v, cast(Variable(t), v.dtype()), 3); }, 1.6775106641089128,
        -29.354053901641375);
}

TEST_CASE("dice equals its formula, ignored positions count for nothing", "[loss]") {
  const Tensor z = numbers({2, 3, 5, 4}, f64, 6), y = labels_for({2, 3, 5}, 4),
               some = labels_for({2, 3, 5}, 4, 9, true);
  const Tensor p = softmax(z).value();
  const auto score = [&](const Tensor& labels, std::int64_t first, double eps) {
    double total = 0;
    for (std::int64_t k = first; k < 4; ++k) {
      double overlap = 0, size = eps;
      each_index(labels.shape(), [&](const Index& i) {
        if (at(labels, i) == 9) return;
        const double probability = at(p, {i[0], i[1], i[2], k}), hit = at(labels, i) == static_cast<double>(k);
        overlap += probability * hit;
        size += probability + hit;
      });
      total += 2 * overlap / size / static_cast<double>(4 - first);
    }
    return 1 - total;
  };
  CHECK(soft_dice_loss(z, y).item() == Approx(score(y, 1, 1e-5)).epsilon(1e-12));
  CHECK(soft_dice_loss(z, y, {.include_background = true, .eps = 0.5}).item() ==
        Approx(score(y, 0, 0.5)).epsilon(1e-12));
  const CrossEntropyOptions ignore{.ignore_index = 9};
  CHECK(dice_cross_entropy(z, some, ignore).item() ==
        Approx(cross_entropy(z, some, ignore).item() + score(some, 1, 1e-5)).epsilon(1e-12));
  const Variable x = leaf({2, 3}, f64, 3), t = leaf({2, 3}, f64, 4);
  CHECK(mse_loss(x, t).item() == Approx(mean(square(x - t)).item()));
  CHECK(l1_loss(x, t).item() == Approx(mean(abs(x - t)).item()));
  CHECK(one_hot(Tensor::of<std::int32_t>({2}, {2, 0}), 3).values() == std::vector<double>{0, 0, 1, 1, 0, 0});
  CHECK(one_hot(Tensor::of<std::int32_t>({1, 1}, {1}), 2, i32).shape() == Shape{1, 1, 2});
}

TEST_CASE("NaN reaches the loss, unless its position is ignored", "[loss]") {
  for (DType dtype : {f32, f64}) {
    Tensor z = numbers({100, 3}, dtype, 1);
    const Tensor y = labels_for({100}, 3), all = labels_for({100}, 3, -1, true);
    if (dtype == f32)
      z.data<float>()[31] = static_cast<float>(not_a_number);
    else
      z.data<double>()[31] = not_a_number;
    CHECK(std::isnan(cross_entropy(z, y).item()));
    CHECK(std::isnan(soft_dice_loss(z, y).item()));
    CHECK(std::isnan(bce_with_logits(z, Tensor::zeros({100, 3}, dtype)).item()));
    CHECK(std::isfinite(dice_cross_entropy(z, all, {.ignore_index = -1}).item()));
    const Variable v(z, true);
    cross_entropy(v, all, {.ignore_index = -1}).backward();
    for (double g : v.grad().value().values()) CHECK(std::isfinite(g));
    CHECK(std::isnan(cross_entropy(z, Tensor::full({100}, -1, i32), {.ignore_index = -1}).item()));
  }
  const Variable far(Tensor::of<float>({1, 2}, {1e4f, -1e4f}), true);
  const Variable loss = cross_entropy(far, Tensor::of<std::int32_t>({1}, {1}));
  CHECK(loss.item() == Approx(2e4));
  loss.backward();
  CHECK(far.grad().value().values() == std::vector<double>{1, -1});
}

TEST_CASE("losses say what is wrong with their arguments", "[loss]") {
  const Variable z(Tensor::ones({2, 3, 4}));
  const auto labels = [](std::int32_t odd) { return Tensor::of<std::int32_t>({2, 3}, {0, 1, 2, 3, 0, odd}); };
  const auto says = [&](const Tensor& y, const CrossEntropyOptions& o, const std::string& what) {
    CHECK_THROWS_WITH(cross_entropy(z, y, o), Contains(what));
  };
  says(labels(4), {}, "[cross_entropy] labels: got 4 at (1, 2); must be in [0, 4)");
  says(labels(-1), {}, "[cross_entropy] labels: got -1 at (1, 2)");
  says(labels(7), {.ignore_index = 255}, "must be in [0, 4) or ignore_index, 255");
  says(labels(1), {.weight = {1, 2}}, "[cross_entropy] weight: got 2 entries; must be one for each of the 4 classes");
  says(labels(1), {.weight = {1, 2, -1, 1}}, "[cross_entropy] weight: got -1");
  says(labels(1), {.label_smoothing = 1}, "[cross_entropy] label_smoothing: got 1; must be in [0, 1)");
  says(Tensor::zeros({2, 4}, i32), {}, "[cross_entropy] labels: got shape (2, 4); must be (2, 3)");
  CHECK_THROWS_AS(cross_entropy(z, Tensor::zeros({2, 3}), {}), TypeError);
  CHECK_THROWS_AS(cross_entropy(Variable(Tensor::ones({4})), Tensor::zeros({}, i32)), ValueError);
  CHECK_THROWS_AS(cross_entropy(Variable(Tensor::ones({2, 4}, i32)), Tensor::zeros({2}, i32)), TypeError);
  CHECK_THROWS_WITH(soft_dice_loss(z, labels(9)), Contains("[soft_dice_loss] labels: got 9 at (1, 2)"));
  CHECK_THROWS_WITH(soft_dice_loss(Variable(Tensor::ones({3, 1})), Tensor::zeros({3}, i32)),
                    Contains("must be at least 2, or set include_background"));
  CHECK_THROWS_WITH(dice_cross_entropy(z, labels(0), {}, {.eps = -1}), Contains("[dice_cross_entropy] eps: got -1"));
  CHECK_THROWS_WITH(one_hot(labels(3), 3), Contains("[one_hot] labels: got 3 at (1, 0)"));
  CHECK_THROWS_AS(one_hot(labels(0), 0), ValueError);
  CHECK_THROWS_WITH(mse_loss(z, Variable(Tensor::ones({2, 3}))),
                    Contains("[mse_loss] target: got shape (2, 3); must be (2, 3, 4)"));
  CHECK_THROWS_AS(l1_loss(z, Variable(Tensor::ones({2, 3, 4}, f64))), TypeError);
  CHECK_THROWS_WITH(bce_with_logits(z, z, -1), Contains("[bce_with_logits] pos_weight: got -1"));
  CHECK_THROWS_AS(mse_loss(Variable(Tensor({0})), Variable(Tensor({0}))), ValueError);
}
