// NanFinder names the op, layer and step of the first NaN or infinity, in values and in gradients.
#include <catch2/catch.hpp>

#include <cmath>
#include <limits>

#include "voxgrad/framework/nn/nan_finder.hpp"
#include "voxgrad/framework/ops/ops.hpp"
#include "voxgrad/layers/layers.hpp"

using Catch::Matchers::Contains;

namespace {

const double not_a_number = std::nan(""), inf = std::numeric_limits<double>::infinity();

struct Apply : vg::Module {
  std::function<vg::Variable(const vg::Variable&)> f;
  explicit Apply(std::function<vg::Variable(const vg::Variable&)> g) : f(std::move(g)) {}
  vg::Variable update(vg::Variable x) override { return f(x); }
  std::string kind() const override { return "Apply"; }
};

vg::Linear linear() { return vg::Linear({.in_size = {3}, .out_features = 3}); }

vg::Sequential three(std::function<vg::Variable(const vg::Variable&)> f) {
  return vg::Sequential(linear(), vg::Sigmoid(), Apply(std::move(f)), linear());
}

vg::Variable input(double fill = 1) { return vg::Variable(vg::Tensor::full({2, 3}, fill)); }

template <class F>
vg::NonFiniteError thrown(F f) {
  try {
    f();
  } catch (const vg::NonFiniteError& e) {
    return e;
  }
  return vg::NonFiniteError("nothing was thrown");
}

}  // namespace

TEST_CASE("nan finder: a NaN that an op makes", "[nan_finder]") {
  vg::Sequential model = three([](const vg::Variable& x) { return vg::log(x - 2.0); });
  vg::NanFinder finder(model);
  finder.step(7);
  const auto e = thrown([&] { model(input()); });
  CHECK_THAT(e.what(), Contains("[NanFinder] step 7: op log in layers.2 (Apply) made nan at (0, 0) of f32 (2, 3)"));
  CHECK(e.op == "log");
  CHECK(e.layer == "layers.2");
  CHECK(e.step == 7);
  CHECK_FALSE(e.in_gradient);
  // It also works while nothing is recorded, and after an exception the positions are right.
  const vg::NoGradGuard no_grad;
  finder.step(8);
  CHECK_THAT(thrown([&] { model(input()); }).what(), Contains("step 8: op log in layers.2 (Apply) made nan"));
  CHECK_THAT(thrown([&] { vg::log(input(-1)); }).what(), Contains("step 8: op log made nan"));
}

TEST_CASE("nan finder: an infinity by overflow", "[nan_finder]") {
  vg::Sequential model = three([](const vg::Variable& x) { return vg::exp(x * 1000.0); });
  const auto e = thrown([&] {
    const vg::NanFinder finder(model);
    model(input());
  });
  CHECK_THAT(e.what(), Contains("[NanFinder] op exp in layers.2 (Apply) made inf at "));
  const vg::NanFinder finder(model, {.infinities = false});
  CHECK_NOTHROW(vg::exp(input(1000)));
  CHECK_THAT(thrown([&] { vg::exp(input(1000)) * 0.0; }).what(), Contains("op mul made nan"));
}

TEST_CASE("nan finder: a NaN and an infinity in a gradient", "[nan_finder]") {
  // sqrt at 0: the gradient is 1 / 0, times 0 it is a NaN.
  const double factor = GENERATE(1.0, 0.0);
  vg::Sequential model = three([&](const vg::Variable& x) { return vg::sqrt(x * 0.0) * factor; });
  vg::NanFinder finder(model);
  finder.step(3);
  const vg::Variable loss = vg::sum(model(input()));
  const auto e = thrown([&] { loss.backward(); });
  CHECK_THAT(e.what(), Contains("[NanFinder] step 3: the gradient of op sqrt in layers.2 (Apply) made ") &&
                           Contains(factor == 0 ? "nan at (0, 0) of f32 (2, 3)" : "inf at "));
  CHECK(e.op == "sqrt");
  CHECK(e.layer == "layers.2");
  CHECK(e.in_gradient);
  for (const auto& [path, state] : model.parameters()) CHECK_FALSE(state[state.leaves()[0]].grad().defined());
  const vg::Variable x(vg::Tensor::ones({2, 3}), true);
  CHECK_NOTHROW(vg::sum(vg::square(x)).backward());  // the positions are right after that
}

TEST_CASE("nan finder: gradients that overflow where they are added up", "[nan_finder]") {
  vg::Sequential model(linear());
  const vg::NanFinder finder(model);
  const vg::Variable x(vg::Tensor::full({2}, 1.0), true);
  // The value is small, so only its gradient overflows.
  const vg::Variable small(vg::Tensor::full({2}, 1e-10), true);
  const auto e = thrown([&] { vg::sum(small * 3e38 + small * 3e38).backward(); });
  CHECK_THAT(e.what(), Contains("the gradient of a leaf, summed up or given as the cotangent, is inf"));
  CHECK_THAT(thrown([&] { vg::square(x).backward(vg::Variable(vg::Tensor::full({2}, not_a_number))); }).what(),
             Contains("the gradient of the result of op square, summed up or given as the cotangent, is nan"));
}

TEST_CASE("nan finder: a NaN in the input", "[nan_finder]") {
  vg::Sequential model = three([](const vg::Variable& x) { return x * 1.0; });
  vg::NanFinder finder(model);
  CHECK_THAT(thrown([&] { model(input(not_a_number)); }).what(),
             Contains("input 0 of op ") &&
                 Contains(" in layers.0 (Linear) is nan at (0, 0) of f32 (2, 3): no op made it: it is an input"));
}

TEST_CASE("nan finder: a parameter that already has one", "[nan_finder]") {
  vg::Sequential model = three([](const vg::Variable& x) { return x * 1.0; });
  const std::string leaf = GENERATE("weight", "bias");
  for (auto [path, state] : model.parameters())
    if (path == "layers.3.weight")
      state.writable(leaf).data<float>()[1] = static_cast<float>(leaf == "bias" ? inf : not_a_number);
  vg::NanFinder finder(model);
  const auto e = thrown([&] { model(input()); });
  CHECK_THAT(e.what(), Contains("in layers.3 (Linear) is ") &&
                           Contains("ParamState layers.3.weight, leaf " + leaf + ", holds it already"));
}

TEST_CASE("nan finder: ends with its scope, and distinguishes an earlier value from a leaf", "[nan_finder]") {
  vg::Sequential model = three([](const vg::Variable& x) { return vg::log(x - 2.0); });
  const vg::Variable x(vg::Tensor::full({2, 3}, -1.0), true);
  const vg::Variable before = vg::log(x);
  {
    const vg::NanFinder finder(model);
    CHECK_THAT(thrown([&] { before + 1.0; }).what(), Contains("op log made it before the finder existed"));
  }
  CHECK_NOTHROW(model(input()));
  CHECK_NOTHROW(vg::sum(before).backward());
}
