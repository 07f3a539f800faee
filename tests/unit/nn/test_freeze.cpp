// Freezing: no gradient, no step, no moving statistics, by pattern, in summaries and checkpoints.
#include <catch2/catch.hpp>

#include "support/checkpoint_run.hpp"
#include "support/message_of.hpp"
#include "support/temp_dir.hpp"
#include "voxgrad/framework/base/op_count.hpp"
#include "voxgrad/framework/checkpoint/checkpoint.hpp"
#include "voxgrad/framework/ops/ops.hpp"
#include "voxgrad/framework/transforms/grad.hpp"
#include "voxgrad/framework/transforms/recompute.hpp"
#include "voxgrad/layers/layers.hpp"
#include "voxgrad/layers/zoo/zoo.hpp"
#include "voxgrad/optim/optim.hpp"

using namespace vg;
using Catch::Contains;
using vg::test::message_of;
using vg::test::TempDir;

namespace {

Sequential net() {
  random::Generator generator(3);
  const random::GeneratorGuard scope(generator);
  return Sequential(
      Sequential(Conv3d({.in_size = {4, 4, 4, 2}, .out_channels = 3, .kernel_size = 3, .b_init = init::ZeroInit()}),
                 BatchNorm3d(), ReLU()),
      GlobalAvgPool3d(), Linear({.out_features = 2}));
}

Variable volume(std::uint64_t seed = 1) { return random::normal(random::key_of(seed), {2, 4, 4, 4, 2}, 1, 2); }

std::vector<std::string> frozen_leaves(Module& m) {
  std::vector<std::string> names;
  for (const auto& [path, state] : m.states())
    for (const std::string& leaf : state.leaves())
      if (state.frozen(leaf)) names.push_back(path + "." + leaf);
  return names;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("path patterns: an element, many elements, prefixes") {
  for (const auto& [path, pattern, fits] :
       std::vector<std::tuple<std::string, std::string, bool>>{{"encoder.conv", "encoder", true},
                                                               {"encoder", "encoder", true},
                                                               {"encoder2.conv", "encoder", false},
                                                               {"encoder.conv", "encoder.conv.weight", false},
                                                               {"a.b.c", "", true},
                                                               {"layers.3.norm.weight", "layers.*.norm", true},
                                                               {"layers.3.block.norm", "layers.*.norm", false},
                                                               {"layers.3.block.norm", "layers.**.norm", true},
                                                               {"layers.norm", "layers.**.norm", true},
                                                               {"a.b.bias", "**.bias", true},
                                                               {"bias", "**.bias", true},
                                                               {"a.b.biases", "**.bias", false},
                                                               {"a.down1.w", "a.down*", true},
                                                               {"a.up1.w", "a.down*", false},
                                                               {"a.x1down2", "a.*down*", true},
                                                               {"a", "**", true},
                                                               {"a", "*", true},
                                                               {"a", "*.*", false},
                                                               {"a.b.c.d", "**.b.**.d", true},
                                                               {"a.b.c.d", "**.c.**.b", false}}) {
    INFO(path << " and " << pattern);
    CHECK(path_fits(path, pattern) == fits);
  }
}

TEST_CASE("freeze: a frozen leaf has no gradient and takes no step, and its statistics do not change") {
  Sequential model = net();
  model.train();
  SGD optimizer(model.parameters(), {.lr = 0.1, .momentum = 0.9, .weight_decay = 0.1});
  model.freeze("layers.0");
  CHECK(frozen_leaves(model) == Names{"layers.0.layers.0.weight.weight", "layers.0.layers.0.weight.bias",
                                      "layers.0.layers.1.weight.scale", "layers.0.layers.1.weight.bias",
                                      "layers.0.layers.1.running_mean.value", "layers.0.layers.1.running_var.value"});
  const auto before = vg::test::bits(model);
  Sequential& body = model.get<Sequential>(0);
  for (int i = 0; i < 3; ++i) {
    CHECK_FALSE(body(volume()).requires_grad());  // a constant, because nothing is recorded
    sum(square(model(volume()))).backward();
    for (const auto& [path, state] : body.parameters())
      for (const std::string& leaf : state.leaves()) CHECK_FALSE(state[leaf].grad().defined());
    CHECK(model.get<Linear>(2).weight["weight"].grad().defined());
    optimizer.step();
    optimizer.zero_grad();
  }
  for (const auto& [name, bytes] : vg::test::bits(model))
    CHECK((bytes == before.at(name)) == (name.rfind("layers.0", 0) == 0));

  // A frozen BatchNorm normalises by its running statistics, as in evaluation.
  const Tensor trained = body(volume()).value();
  body.eval();
  CHECK(vg::test::bytes_of(body(volume()).value()) == vg::test::bytes_of(trained));
}

TEST_CASE("freeze: gradients of a frozen body cost nothing") {
  Sequential model = net();
  const auto backward_cost = [&] {
    const Variable loss = sum(square(model(volume())));
    const std::int64_t before = multiply_adds_counted();
    loss.backward();
    return multiply_adds_counted() - before;
  };
  const std::int64_t all = backward_cost();
  model.freeze("layers.0");
  const std::int64_t head = backward_cost();
  CHECK(all > 10 * head);
  // The input still has a gradient.
  const Variable x(volume().value(), true);
  sum(square(model(x))).backward();
  CHECK(x.grad().defined());
  model.unfreeze();
  CHECK(backward_cost() == all);
}

TEST_CASE("freeze: by pattern, by leaf, and back") {
  Sequential model = net();
  model.freeze("**.bias");
  CHECK(frozen_leaves(model) ==
        Names{"layers.0.layers.0.weight.bias", "layers.0.layers.1.weight.bias", "layers.2.weight.bias"});
  model.freeze("layers.*.layers.1");
  CHECK(frozen_leaves(model).size() == 6);
  model.unfreeze("layers.0.**.bias");
  CHECK(frozen_leaves(model) == Names{"layers.0.layers.1.weight.scale", "layers.0.layers.1.running_mean.value",
                                      "layers.0.layers.1.running_var.value", "layers.2.weight.bias"});
  model.freeze();
  CHECK(frozen_leaves(model).size() == 8);
  model.unfreeze("layers.2");
  CHECK(frozen_leaves(model).size() == 6);
  model.unfreeze();
  CHECK(frozen_leaves(model).empty());
  CHECK(model.get<Linear>(2).weight["bias"].requires_grad());
  CHECK_FALSE(model.get<Sequential>(0).get<BatchNorm3d>(1).running_mean["value"].requires_grad());

  CHECK_THAT(message_of([&] { model.freeze("encoder"); }),
             Contains("[Sequential] freeze: got \"encoder\", which fits no parameter") &&
                 Contains("layers.0.layers.0.weight.weight"));
  CHECK_THAT(message_of([&] { model.unfreeze("heads"); }), Contains("unfreeze: got \"heads\""));
  Sequential not_built(Linear({.out_features = 2}));
  CHECK_THAT(message_of([&] { not_built.freeze("layers.0.weight.bias"); }), Contains("in_size"));
  not_built.freeze("layers.0");
  not_built.build({3});
  CHECK(frozen_leaves(not_built).size() == 2);  // also for leaves that are built later
}

TEST_CASE("freeze: a state that two paths lead to is frozen by either") {
  Sequential model(Linear({.in_size = {3}, .out_features = 3}), Tanh(), Linear({.in_size = {3}, .out_features = 3}));
  model.get<Linear>(2).weight = model.get<Linear>(0).weight;
  model.freeze("layers.2");
  CHECK(model.get<Linear>(0).weight.frozen());
}

TEST_CASE("freeze: an optimizer skips frozen leaves, and starts anew when they are unfrozen") {
  const auto train = [](Module& model, Optimizer& optimizer, int steps) {
    for (int i = 0; i < steps; ++i) {
      sum(square(model(volume()))).backward();
      optimizer.step();
      optimizer.zero_grad();
    }
  };
  Sequential a = net(), b = net();
  a.train(), b.train();
  Adam before(a.parameters(), {.lr = 0.01});
  train(a, before, 2);
  a.freeze("layers.0");
  train(a, before, 2);
  a.unfreeze();
  for (const auto& [path, state] : a.states())  // b becomes equal to a, with a new optimizer for the body
    for (const std::string& leaf : state.leaves()) State(b.states().at(path)).set(leaf, state[leaf].value());
  Adam fresh(b.get<Sequential>(0).parameters(), {.lr = 0.01});
  sum(square(a(volume()))).backward();
  sum(square(b(volume()))).backward();
  before.step();
  fresh.step();
  CHECK(vg::test::bits(a.get<Sequential>(0)) == vg::test::bits(b.get<Sequential>(0)));

  // An optimizer made while the body is frozen has the same paths, without moments of the body until it is unfrozen.
  Sequential c = net();
  c.train();
  c.freeze("layers.0");
  Adam during(c.parameters(), {.lr = 0.01});
  const auto of_c = vg::test::bits(c.get<Sequential>(0));
  train(c, during, 2);
  CHECK(vg::test::bits(c.get<Sequential>(0)) == of_c);
  CHECK(during.check_state(before.save_state()).empty());
  CHECK(during.save_state().part("moments").part("layers.0.layers.0.weight").part("weight").tensors.empty());
  c.unfreeze();
  train(c, during, 1);
  CHECK(vg::test::bits(c.get<Sequential>(0)) != of_c);

  // Gradients from vg::grad have no frozen leaves; update() ignores given ones.
  c.freeze("layers.0");
  auto step = vg::grad([&](const Args& args) { return sum(square(c(args[0]))); }, c.parameters());
  const GradResult result = step({volume()});
  CHECK(result.grads.states.entries.size() == 1);
  CHECK_NOTHROW(during.update(result.grads.states));
  StateGrads given;
  given.entries.push_back({"layers.0.layers.0.weight", {{"bias", Variable(Tensor::ones({1, 1, 1, 3}))}}});
  const auto kept = vg::test::bits(c.get<Sequential>(0));
  during.update(given);
  CHECK(vg::test::bits(c.get<Sequential>(0)) == kept);
}

TEST_CASE("freeze: groups take the same patterns") {
  Sequential model = net();
  SGD optimizer(
      model.parameters(),
      {.lr = 1, .groups = {{.path = "layers.*.layers.1", .lr_scale = 0.5}, {.path = "**.bias", .lr_scale = 0.25}}});
  CHECK(optimizer.lr("layers.0.layers.1.weight", "scale") == 0.5);
  CHECK(optimizer.lr("layers.0.layers.0.weight", "bias") == 0.25);
  CHECK(optimizer.lr("layers.2.weight", "weight") == 1);
}

TEST_CASE("freeze: averages, conversions, recomputed blocks and in-place writes keep it") {
  Sequential model = net();
  model.freeze("layers.2");
  ParamState& weight = model.get<Linear>(2).weight;
  model.to(f64);
  CHECK_FALSE(weight["weight"].requires_grad());
  model.to(f32);
  weight.writable("weight");
  CHECK_FALSE(weight["weight"].requires_grad());
  {
    Ema ema(model.parameters());
    const EmaGuard scope(ema);
    model.freeze("layers.0");
  }
  CHECK(frozen_leaves(model).size() == 8);
  for (const auto& [path, state] : model.parameters())
    for (const std::string& leaf : state.leaves()) CHECK_FALSE(state[leaf].requires_grad());
  model.unfreeze("layers.2");
  sum(square(recompute(model, volume()))).backward();
  CHECK(weight["weight"].grad().defined());
}

TEST_CASE("freeze: summary counts trained and frozen parameters") {
  Sequential model = net();
  CHECK_THAT(model.summary({1, 4, 4, 4, 2}), Contains("total: 179 parameters, "));
  model.freeze("layers.0");
  model.freeze("layers.2.weight.bias");
  const std::string text = model.summary({1, 4, 4, 4, 2});
  CHECK_THAT(text, Contains("total: 179 parameters (6 trainable, 173 frozen), "));
  CHECK_THAT(text, Contains("165 (frozen)") && Contains("6 (frozen)") && Contains("8 (2 frozen)"));
  model.freeze();
  CHECK_THAT(model.summary({1, 4, 4, 4, 2}), Contains("(0 trainable, 179 frozen)"));
}

TEST_CASE("freeze: a checkpoint keeps it, and an old file has nothing frozen") {
  const TempDir folder;
  Sequential model = net(), plain = net();
  plain.train();
  save(plain, folder / "plain.json");
  CHECK(vg::test::read_bytes(folder / "plain.json").find("frozen") == std::string::npos);  // as in old files
  model.freeze("layers.0");
  model.freeze("layers.2.weight.bias");
  const Names frozen = frozen_leaves(model);
  for (const Encoding encoding : {Encoding::decimal, Encoding::base64}) {
    save(model, folder / "m.json", {.encoding = encoding});
    Sequential other = net();
    load(other, folder / "m.json");
    CHECK(frozen_leaves(other) == frozen);
    CHECK(frozen_leaves(*load_model(folder / "m.json")) == frozen);
  }
  CHECK_THAT(vg::test::read_bytes(folder / "m.json"), Contains("\"frozen\": [\"weight\", \"bias\"]"));
  load(model, folder / "plain.json");
  CHECK(frozen_leaves(model).empty());
  // A partial load takes values only: frozen leaves stay frozen.
  plain.freeze("layers.2");
  load(plain, folder / "m.json", {.strict = false});
  CHECK(frozen_leaves(plain) == Names{"layers.2.weight.weight", "layers.2.weight.bias"});

  // A load that fails changes nothing.
  struct Fails : vg::test::Part {
    void load_state(const StateDict&) override { throw std::runtime_error("the part gave up"); }
  } part;
  plain.unfreeze();
  Checkpoint().model(model).part("part", part).save(folder / "run.json");
  model.freeze("layers.0");
  CHECK_THROWS(Checkpoint().model(model).part("part", part).load(folder / "run.json"));
  CHECK(frozen_leaves(model).size() == 6);
}

TEST_CASE("freeze: a file that freezes a missing leaf is refused") {
  const TempDir folder;
  Sequential model(Linear({.in_size = {1}, .out_features = 1}));
  model.freeze();
  save(model, folder / "m.json");
  const std::string text = vg::test::read_bytes(folder / "m.json"), list = "[\"weight\", \"bias\"]";
  for (const auto& [now, says] : std::vector<std::pair<std::string, std::string>>{
           {"[\"weights\"]", "got \"weights\"; must be leaves of this state, each once"},
           {"[\"bias\", \"bias\"]", "got \"bias\"; must be leaves of this state"},
           {"[1]", "got 1"},
           {"true", "got true"}}) {
    std::string edited = text.substr(0, text.rfind("\"crc32\""));
    edited = edited.substr(0, edited.rfind(',')) + "\n}\n";
    const std::size_t at = edited.find(list);
    REQUIRE(at != std::string::npos);
    edited.replace(at, list.size(), now);
    folder.write("edited.json", edited);
    CHECK_THAT(message_of<IoError>([&] { load(model, folder / "edited.json"); }), Contains(says));
  }
}

TEST_CASE("freeze: a net of the zoo except its last layer") {
  Sequential model = zoo::ResNet3d(
      {.in_size = {8, 8, 8, 1}, .classes = 2, .blocks = {1, 1}, .widths = {4, 6}, .stem_kernel = 3, .stem_stride = 1});
  const std::string last = "layers." + std::to_string(model.size() - 1);
  model.freeze();
  model.unfreeze(last);
  model.train();
  SGD optimizer(model.parameters(), {.lr = 0.1});
  const auto before = vg::test::bits(model);
  sum(square(model(Variable(random::normal(random::key_of(1), {2, 8, 8, 8, 1}))))).backward();
  optimizer.step();
  for (const auto& [name, bytes] : vg::test::bits(model)) CHECK((bytes != before.at(name)) == (name.rfind(last, 0) == 0));
}
