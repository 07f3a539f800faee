#include <catch2/catch.hpp>

#include <voxgrad/voxgrad.hpp>

#include "tests/support/threads_guard.hpp"

namespace {

using namespace vg;

/// A module with batch statistics, a random state and parameters.
struct Block : Module {
  Conv3d conv{{.in_size = {dynamic, dynamic, dynamic, 4}, .out_channels = 4, .kernel_size = 3, .padding = 1}};
  BatchNorm3d norm{{.in_size = {dynamic, dynamic, dynamic, 4}}};
  Dropout dropout{{.keep_prob = 0.7}};
  Variable update(Variable x) override { return tanh(dropout(exp(norm(conv(x)) * 0.1))); }
  void visit(Visitor& v) override { v("conv", conv), v("norm", norm), v("dropout", dropout); }
  std::string kind() const override { return "Block"; }
};

struct Result {
  std::vector<std::vector<double>> numbers;
  std::int64_t peak;
};

Result run(bool again) {
  random::seed(3);
  Block a, b;
  const Variable x(random::normal({1, 2}, {2, 12, 12, 12, 4}), true);
  memory::reset_peak();
  const std::int64_t before = memory::stats().in_use;
  Variable y = again ? recompute(b, recompute(a, x)) : b(a(x));
  const Variable loss = mean(square(y));
  y = {};
  loss.backward();
  Result r{{loss.value().values(), x.grad().value().values()}, memory::stats().peak - before};
  for (Block* block : {&a, &b})
    for (const auto& [path, state] : block->states())
      for (const std::string& leaf : state.leaves()) {
        r.numbers.push_back(state[leaf].value().values());
        if (state[leaf].requires_grad()) r.numbers.push_back(state[leaf].grad().value().values());
      }
  r.numbers.push_back(random::normal(random::default_generator().next(), {4}).values());
  return r;
}

}  // namespace

TEST_CASE("recompute: the same bits, in less memory", "[recompute]") {
  const Result plain = run(false), again = run(true);
  CHECK(again.numbers == plain.numbers);
  CHECK(again.peak < plain.peak);
}

TEST_CASE("recompute: gradients of gradients", "[recompute]") {
  const auto second = [](bool again) {
    const Variable x(Tensor::of<double>({3}, {0.1, -0.4, 0.7}), true);
    const auto f = [](const Variable& v) { return sin(v) * v; };
    const Variable y = sum(again ? recompute(f, x) : f(x));
    const Variable g = gradients(y, {x}, {.create_graph = true})[0];
    return gradients(sum(square(g)), {x})[0].value().values();
  };
  CHECK(second(true) == second(false));
}

TEST_CASE("recompute: in the bf16 that it ran in", "[recompute]") {
  const auto grads = [](bool again) {
    random::seed(5);
    Block block;
    const Variable x(random::normal({1, 2}, {1, 6, 6, 6, 4}), true);
    Variable y;
    {
      const AutocastGuard bf16(Compute::bf16);
      y = again ? recompute(block, x) : block(x);
    }
    sum(y).backward();
    return x.grad().value().values();
  };
  CHECK(grads(true) == grads(false));
}

TEST_CASE("recompute: refuses a parameter that has changed, and an empty function", "[recompute]") {
  random::seed(5);
  Conv3d conv({.in_size = {4, 4, 4, 1}, .out_channels = 2, .kernel_size = 3, .padding = 1});
  const Variable y = sum(recompute(conv, Tensor::ones({1, 4, 4, 4, 1})));
  conv.weight.set("weight", Tensor::zeros({3, 3, 3, 1, 2}));
  CHECK_THROWS_WITH(y.backward(), Catch::Contains("[recompute] backward: the parameter \"weight\", leaf \"weight\""));
  CHECK_THROWS_AS(recompute(std::function<Variable(const Variable&)>(), Variable(Tensor::ones({1}))), ValueError);
}

TEST_CASE("a training step takes no memory from the system after the second", "[memory]") {
  random::seed(1);
  Block a, b;
  a.train();
  a.eval();
  a.dropout.train(false);
  AdamW optimizer(a.parameters());
  const auto step = [&](int i) {
    const Variable x(random::normal({1, static_cast<std::uint32_t>(i)}, {2, 16, 16, 16, 4}));
    mean(square(recompute(b, a(x)))).backward();
    optimizer.step();
    optimizer.zero_grad();
    b.zero_grad();
  };
  step(0), step(1);
  const std::int64_t before = memory::stats().from_system;
  for (int i = 2; i < 10; ++i) step(i);
  CHECK(memory::stats().from_system == before);
}

TEST_CASE("all threads of a parallel region have their workspaces at once", "[memory][threads]") {
  const vg::test::ThreadsGuard four(4);
  constexpr std::int64_t elements = 54321;  // no other tensor has this size class
  const auto region = [&](bool all) {
    parallel_for(4, [&](std::int64_t task) {
      if (all || task == 0) memory::Scratch<double> one(elements), two(elements);
    });
  };
  region(false);
  const std::int64_t before = memory::stats().from_system;
  for (int i = 0; i < 20; ++i) region(true);
  CHECK(memory::stats().from_system == before);
}

TEST_CASE("step_bytes: a step's peak to a tenth, without side effects", "[memory]") {
  random::seed(1);
  Sequential net(std::make_shared<Block>(),
                 Conv3d({.in_size = {dynamic, dynamic, dynamic, 4}, .out_channels = 8, .kernel_size = 3}), ReLU(),
                 MaxPool3d({.kernel_size = 2}),
                 std::make_shared<Conv3d>(
                     Conv3dOptions{.in_size = {dynamic, dynamic, dynamic, 8}, .out_channels = 3, .kernel_size = 3}));
  const auto numbers = [&] {
    std::vector<std::vector<double>> all;
    for (const auto& [path, state] : net.states())
      for (const std::string& leaf : state.leaves()) {
        all.push_back(state[leaf].value().values());
        CHECK_FALSE(state[leaf].grad().defined());
      }
    return all;
  };
  const random::Key key = random::default_generator().key();
  const auto before = numbers();
  const Shape input{5, 16, 20, 24, 4};
  const std::int64_t predicted = net.step_bytes(input);
  CHECK(numbers() == before);
  CHECK(random::default_generator().key() == key);

  net.train();
  memory::release_cached();
  const std::int64_t in_use = memory::stats().in_use;
  memory::reset_peak();
  mean(square(net(random::normal({1, 2}, input)))).backward();
  std::int64_t states = 0;
  for (const auto& [path, state] : net.states()) states += state.bytes();
  const auto peak = static_cast<double>(memory::stats().peak - in_use + states);
  INFO(predicted << " predicted, " << peak << " held");
  CHECK(std::abs(static_cast<double>(predicted) - peak) <= 0.1 * peak);
  CHECK_THAT(net.summary(input), Catch::Contains("a training step: "));
  CHECK(ReLU().step_bytes({1, 4}) == 0);
}
