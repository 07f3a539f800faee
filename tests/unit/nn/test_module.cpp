// Module and State: visit(), paths, tied weights, modes, summary, description; grad() with respect to states.
#include <catch2/catch.hpp>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/ops/ops.hpp"
#include "voxgrad/framework/transforms/grad.hpp"
#include "voxgrad/layers/layers.hpp"
#include "voxgrad/optim/optim.hpp"

using namespace vg;
using Catch::Contains;

namespace {

struct Net : Module {
  Conv3d conv{{.in_size = {4, 4, 4, 1}, .out_channels = 2, .kernel_size = 3, .b_init = init::ZeroInit()}};
  BatchNorm3d norm{{.in_size = {4, 4, 4, 2}}};
  std::vector<std::shared_ptr<Module>> blocks{std::make_shared<ReLU>(),
                                              std::make_shared<Dropout>(DropoutOptions{.keep_prob = 0.5, .seed = 3})};
  std::optional<Linear> extra;
  Linear head{{.in_size = {2}, .out_features = 3}};

  Variable update(Variable x) override {
    Variable y = norm(conv(x));
    for (auto& block : blocks) y = (*block)(y);
    return head(global_avg_pool3d(y));
  }
  void visit(Visitor& v) override {
    v("conv", conv);
    v("norm", norm);
    v("blocks", blocks);
    v("extra", extra);
    v("head", head);
  }
  std::string kind() const override { return "Net"; }
};

std::vector<std::string> paths(const States& states) {
  std::vector<std::string> names;
  for (const auto& [path, state] : states) names.push_back(path);
  return names;
}

Variable numbers(const Shape& shape, DType dtype = f32) {
  return random::normal(random::key_of(5), shape, 0, 1, dtype);
}

}  // namespace

TEST_CASE("states: by path, in the order of the walk, by kind, by prefix") {
  Net net;
  CHECK(paths(net.states()) == std::vector<std::string>{"conv.weight", "norm.weight", "norm.running_mean",
                                                        "norm.running_var", "blocks.1.random", "head.weight"});
  CHECK(paths(net.parameters()) == std::vector<std::string>{"conv.weight", "norm.weight", "head.weight"});
  CHECK(paths(net.states(StateKind::batch)) == std::vector<std::string>{"norm.running_mean", "norm.running_var"});
  CHECK(paths(net.states(StateKind::long_term)).size() == 5);
  CHECK(paths(net.states().under("norm")).size() == 3);
  CHECK(paths(net.states().under("nor")).empty());
  CHECK(paths(net.states().filter([](const std::string& path, const State&) {
          return path.starts_with("head");
        })).size() == 1);
  CHECK(net.parameters().numel() == 27 * 2 + 2 + 4 + 2 * 3 + 3);
  CHECK_THROWS_AS(net.states().at("conv"), ValueError);
  CHECK(net.states().at("conv.weight").is(net.conv.weight));
  net.extra.emplace(LinearOptions{.in_size = {3}, .out_features = 3});
  CHECK(net.states().has("extra.weight"));
}

TEST_CASE("a state or module that is reachable twice appears once, and its gradient adds up") {
  Sequential net(Linear({.in_size = {3}, .out_features = 3}), Tanh(), Linear({.in_size = {3}, .out_features = 3}));
  net.get<Linear>(2).weight = net.get<Linear>(0).weight;
  CHECK(paths(net.states()) == std::vector<std::string>{"layers.0.weight"});
  const Variable x = numbers({2, 3});
  sum(net(x)).backward();
  const Tensor tied = net.get<Linear>(0).weight["weight"].grad().value().clone();

  Sequential apart(Linear({.in_size = {3}, .out_features = 3}), Tanh(), Linear({.in_size = {3}, .out_features = 3}));
  for (std::size_t i : {0, 2}) apart.get<Linear>(i).weight.set("weight", net.get<Linear>(0).weight["weight"].value());
  sum(apart(x)).backward();
  for (std::int64_t i = 0; i < 9; ++i)
    CHECK(tied.value_at(i) == Approx(apart.get<Linear>(0).weight["weight"].grad().value().value_at(i) +
                                     apart.get<Linear>(2).weight["weight"].grad().value().value_at(i)));

  auto layer = std::make_shared<Linear>(LinearOptions{.in_size = {3}, .out_features = 3});
  Sequential twice(layer, ReLU(), layer);
  CHECK(paths(twice.states()) == std::vector<std::string>{"layers.0.weight"});
  CHECK(twice(x).shape() == Shape{2, 3});
}

TEST_CASE("to() converts all floating-point tensors, and only them") {
  Net net;
  net.to(f64);
  for (const auto& [path, state] : net.states())
    for (const std::string& leaf : state.leaves())
      CHECK(state[leaf].dtype() == (path == "blocks.1.random" ? i32 : f64));
  CHECK(net(numbers({2, 4, 4, 4, 1}, f64)).dtype() == f64);
  CHECK_THROWS_AS(net.to(i32), TypeError);
  net.to(f32);
  CHECK(net.conv.weight["weight"].dtype() == f32);
  CHECK(net.conv.weight["weight"].requires_grad());
}

TEST_CASE("training and evaluation: new modules evaluate; a scope restores the mode of each") {
  Net net;
  CHECK_FALSE(net.training());
  const Variable x = numbers({2, 4, 4, 4, 1});
  const Tensor first = net(x).value(), second = net(x).value();
  for (std::int64_t i = 0; i < first.numel(); ++i) CHECK(first.value_at(i) == second.value_at(i));
  {
    FitGuard fit(net);
    CHECK(net.norm.training());
    net(x);
  }
  CHECK_FALSE(net.norm.training());
  CHECK(net.norm.running_mean["value"].value().value_at(0) != 0);

  net.train();
  net.norm.eval();  // frozen statistics
  {
    FitGuard evaluate(net, false);
    CHECK_FALSE(net.blocks[1]->training());
  }
  CHECK(net.training());
  CHECK(net.blocks[1]->training());
  CHECK_FALSE(net.norm.training());
}

TEST_CASE("zero_grad") {
  Net net;
  sum(net(numbers({2, 4, 4, 4, 1}))).backward();
  CHECK(net.head.weight["weight"].grad().defined());
  net.zero_grad();
  for (const auto& [path, state] : net.parameters())
    for (const std::string& leaf : state.leaves()) CHECK_FALSE(state[leaf].grad().defined());
}

TEST_CASE("gradients recorded with create_graph are freed with the leaves, also with those that a step replaced") {
  const std::int64_t before = memory::stats().in_use;
  {
    Linear net({.in_size = {300}, .out_features = 200});
    SGD sgd(net.parameters(), {.lr = 0.1});
    std::int64_t after_first = 0;
    for (int step = 0; step < 5; ++step) {
      sgd.zero_grad();
      sum(square(net(Tensor::ones({1, 300})))).backward({.create_graph = true});
      sgd.step();
      if (step == 1) after_first = memory::stats().in_use;
    }
    CHECK(memory::stats().in_use <= after_first);
    net.to(f64);
    net.freeze();
    net.unfreeze();
    sum(square(net(Tensor::ones({1, 300}, f64)))).backward({.create_graph = true});
  }
  CHECK(memory::stats().in_use == before);
}

TEST_CASE("State: leaves, set, replace, writable") {
  ParamState state("tag");
  state.add("weight", Tensor::ones({2, 2}));
  CHECK(state.tag() == "tag");
  CHECK_THROWS_AS(state.add("weight", Tensor::ones({2})), ValueError);
  CHECK_THROWS_AS(state.add("bias", Tensor()), ValueError);
  CHECK_THROWS_AS(state["bias"], ValueError);
  CHECK_THROWS_AS(state.set("weight", Tensor::ones({2, 3})), ValueError);
  CHECK_THROWS_AS(state.set("weight", Tensor::ones({2, 2}, f64)), ValueError);
  state.replace("weight", Tensor::ones({3}, f64));
  CHECK(state.numel() == 3);
  CHECK(state.bytes() == 24);
  CHECK(state["weight"].requires_grad());
  state.add("count", Tensor::ones({1}, i32));
  CHECK_FALSE(state["count"].requires_grad());

  // A recorded graph keeps the value at the time of the recording.
  const Variable y = sum(square(state["weight"]));
  state.writable("weight").data<double>()[0] = 5;
  CHECK(state["weight"].value().value_at(0) == 5);
  y.backward();
  CHECK(y.item() == 3);

  const State other = state;
  CHECK(other.is(state));
  CHECK(is_a(StateKind::param, StateKind::long_term));
  CHECK(is_a(StateKind::hidden, StateKind::short_term));
  CHECK_FALSE(is_a(StateKind::random, StateKind::long_term));
}

TEST_CASE("RandomState is a stream that continues from its key") {
  RandomState a(42), b(a.key());
  CHECK(a.key() == random::key_of(42));
  const random::Key first = a.next(), second = a.next();
  CHECK(first != second);
  random::Generator generator(42);
  CHECK(generator.next() == first);
  CHECK(generator.next() == second);
  CHECK(b.next() == first);
}

TEST_CASE("description: kind, options and children of the tree") {
  Net net;
  const ModuleConfig d = net.description();
  CHECK(d.kind == "Net");
  REQUIRE(d.children.size() == 5);
  CHECK(d.children[0].first == "conv");
  CHECK(d.children[0].second.kind == "Conv3d");
  CHECK(d.children[2].first == "blocks.0");
  CHECK(d.children[3].second.options[0].first == "keep_prob");
}

TEST_CASE("summary: one row per call, with shapes, parameters and multiply-adds") {
  Sequential net(Conv3d({.in_size = {8, 8, 8, 1}, .out_channels = 4, .kernel_size = 3}), ReLU(), Flatten(),
                 Linear({.out_features = 2}));
  const std::string text = net.summary({2, 8, 8, 8, 1});
  CHECK_THAT(text, Contains("path") && Contains("multiply-adds"));
  CHECK_THAT(text, Contains("layers.0  Conv3d      (2, 8, 8, 8, 4)         108"));
  CHECK_THAT(text, Contains("layers.3  Linear      (2, 2)                 4098"));
  CHECK_THAT(text, Contains("total: 4206 parameters"));
  CHECK_THAT(text, Contains("(model)   Sequential  (2, 2)"));
  CHECK_FALSE(net.training());
  CHECK_THROWS_AS(net.summary({2, 8, 8, 7, 1}), ValueError);
  net.to(f64);
  CHECK_NOTHROW(net.summary({1, 8, 8, 8, 1}));
}

TEST_CASE("grad: gradients, value, aux, in the requested structure") {
  Net net;
  const auto f = [&](const Args& a) { return ValueAux(sum(square(net(a[0]))), {a[0] * 2.0}); };
  const Variable x = numbers({2, 4, 4, 4, 1});
  const auto [grads, loss, aux] = grad(f, net.parameters(), {.argnums = {0}})({x});
  CHECK(loss.numel() == 1);
  REQUIRE(aux.size() == 1);
  CHECK(aux[0].shape() == x.shape());
  REQUIRE(grads.args.size() == 1);
  CHECK(grads.args[0].shape() == x.shape());
  REQUIRE(grads.states.entries.size() == 3);
  CHECK(grads.states.entries[1].path == "norm.weight");

  sum(square(net(x))).backward();
  for (const auto& entry : grads.states.entries)
    for (const auto& [leaf, g] : entry.leaves) {
      const Tensor want = net.states().at(entry.path)[leaf].grad().value();
      REQUIRE(g.shape() == want.shape());
      for (std::int64_t i = 0; i < g.numel(); ++i) CHECK(g.value().value_at(i) == want.value_at(i));
    }
  CHECK(grads.states.at("head.weight", "bias").shape() == Shape{3});
  CHECK_THROWS_AS(grads.states.at("head.weight", "gain"), ValueError);
  CHECK_THROWS_AS(grads.states.at("head", "bias"), ValueError);
}

TEST_CASE("grad: states that are not used, bad arguments, values of any shape") {
  Net net;
  const Variable x = numbers({2, 4, 4, 4, 1});
  const Differentiable f = [&](const Args& a) { return sum(net.conv(a[0])); };
  try {
    grad(f, net.parameters())({x});
    FAIL("an unused state must be an error");
  } catch (const ValueError& e) {
    CHECK_THAT(e.what(), Contains("norm.weight") && Contains("check_states"));
  }
  const auto result = grad(f, net.parameters(), {.check_states = false})({x});
  for (double v : result.grads.states.at("head.weight", "weight").value().values()) CHECK(v == 0);
  CHECK_THROWS_AS(grad(f, net.parameters(), {.argnums = {1}})({x}), ValueError);
  CHECK_THROWS_AS(grad(f, net.parameters(), {.argnums = {-1}})({x}), ValueError);

  const Differentiable whole = [&](const Args& a) { return net.conv(a[0]); };
  CHECK_THROWS_AS(grad(whole, net.parameters().under("conv"))({x}), ValueError);
  const auto vector = vector_grad(whole, net.parameters().under("conv"))({x});
  const auto scalar = grad(f, net.parameters().under("conv"))({x});
  for (std::int64_t i = 0; i < 54; ++i)
    CHECK(vector.grads.states.at("conv.weight", "weight").value().value_at(i) ==
          Approx(scalar.grads.states.at("conv.weight", "weight").value().value_at(i)).margin(1e-5));
  CHECK(vector.value.shape() == Shape{2, 4, 4, 4, 2});
}

TEST_CASE("grad works without recording, and again on its own result") {
  ParamState p;
  p.add("v", Tensor::full({}, 3, f64));
  States states;
  states.insert("p", p);
  const Differentiable cube = [&](const Args&) { return p["v"] * p["v"] * p["v"]; };
  {
    NoGradGuard off;
    CHECK(grad(cube, states)({}).grads.states.at("p", "v").item() == Approx(27));
  }
  const Differentiable slope = [&](const Args& a) {
    return grad(cube, states, {.create_graph = true})(a).grads.states.at("p", "v");
  };
  CHECK(grad(slope, states)({}).grads.states.at("p", "v").item() == Approx(18));
  // Arguments of an inner grad stay connected to the outer one.
  const Differentiable inner = [&](const Args& a) {
    const Differentiable square_of = [](const Args& b) { return b[0] * b[0] * b[0]; };
    return grad(square_of, {}, {.argnums = {0}, .create_graph = true})(a).grads.args[0];
  };
  CHECK(grad(inner, {}, {.argnums = {0}})({Tensor::full({}, 2, f64)}).grads.args[0].item() == Approx(12));
}
