// state_dict and load_state_dict: a net from PyTorch's file gives PyTorch's outputs and is written again bit for bit.
#include <algorithm>
#include <catch2/catch.hpp>

#include "support/golden.hpp"
#include "support/message_of.hpp"
#include "support/plain.hpp"
#include "support/temp_dir.hpp"
#include "voxgrad/framework/formats/safetensors.hpp"
#include "voxgrad/framework/ops/ops.hpp"
#include "voxgrad/layers/layers.hpp"

using namespace vg;
using namespace vg::test;
using Catch::Matchers::Contains;
using ::test::message_of;
using ::test::TempDir;
using vg::test::distance;
using vg::test::same_bits;

namespace {

// make_golden_state_dict.py has the same net in PyTorch.
Sequential make_net() {
  const Initializer bias = init::ZeroInit();
  return Sequential(
      Conv3d(
          {.in_size = {6, 5, 4, 2}, .out_channels = 4, .kernel_size = {3, 2, 1}, .padding = {1, 0, 0}, .b_init = bias}),
      BatchNorm3d({.momentum = 0.9}), PReLU({.per_channel = true}),
      Conv3d({.out_channels = 8, .kernel_size = 3, .stride = 2, .padding = 2, .rhs_dilation = 2, .groups = 2}),
      GroupNorm({.num_groups = 2, .epsilon = 1e-5}),
      Branches({}, Conv3d({.out_channels = 8, .kernel_size = {1, 1, 3}, .padding = {0, 0, 1}, .b_init = bias}),
               Identity()),
      ConvTranspose3d(
          {.out_channels = 6, .kernel_size = 2, .stride = 2, .padding = "VALID", .groups = 2, .b_init = bias}),
      ConvTranspose3d({.out_channels = 4, .kernel_size = {2, 3, 1}, .stride = {2, 1, 1}, .padding = "VALID"}),
      InstanceNorm3d({.affine = true}), MaxPool3d(2),
      WeightNormConv3d({.out_channels = 3, .kernel_size = 1, .b_init = bias}), Sequential(ReLU(), Flatten()),
      PReLU({.per_channel = true}), Linear(7), LayerNorm({.epsilon = 1e-5}), PReLU(),
      Linear({.out_features = 3, .b_init = std::nullopt}));
}

NamedTensors torch_file(const std::string& name) {
  return read_safetensors(golden::path_of("state_dict/" + name + ".safetensors")).tensors;
}

const Tensor& find(const NamedTensors& tensors, const std::string& name) {
  const auto it = std::find_if(tensors.begin(), tensors.end(), [&](const auto& t) { return t.first == name; });
  REQUIRE(it != tensors.end());
  return it->second;
}

void check_same(const NamedTensors& got, const NamedTensors& want) {
  CHECK(got.size() == want.size());
  for (const auto& [name, tensor] : want) {
    INFO(name);
    CHECK(same_bits(find(got, name), tensor));
  }
}

std::vector<std::string> names_of(const NamedTensors& tensors) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : tensors) names.push_back(name);
  return names;
}

// Fills every floating-point tensor with different numbers.
void fill(Module& m) {
  std::uint64_t seed = 0;
  for (const auto& [path, state] : m.states())
    for (const std::string& leaf : state.leaves())
      State(state).set(leaf, vg::test::numbers(state[leaf].shape(), state[leaf].dtype(), ++seed));
}

Linear small() { return Linear({.in_size = {2}, .out_features = 3}); }

}  // namespace

TEST_CASE("state_dict: PyTorch's file gives PyTorch's numbers and is written again bit for bit") {
  Sequential net = make_net();
  const NamedTensors file = torch_file("net");
  const LoadReport report = load_state_dict(net, file, torch_layout);
  CHECK(report.complete());
  CHECK(report.loaded.size() == file.size() - 1);  // all except num_batches_tracked
  check_same(state_dict(net, torch_layout), file);

  const TempDir dir;
  write_safetensors(dir / "net.safetensors", state_dict(net, torch_layout));
  check_same(read_safetensors(dir / "net.safetensors").tensors, file);

  net.to(f64);
  const NamedTensors values = torch_file("values");
  const NoGradGuard quiet;
  const Variable x = transpose(Variable(find(values, "x")), {0, 2, 3, 4, 1});
  CHECK(distance(net(x).value(), find(values, "eval")) < 1e-12);
  net.train();
  CHECK(distance(net(x).value(), find(values, "train")) < 1e-12);
}

TEST_CASE("state_dict: every layer comes back in both layouts with the same bits") {
  const Size volume{2, 3, 4, 4};
  const Initializer bias = init::ZeroInit();
  std::vector<std::shared_ptr<Module>> modules{
      std::make_shared<ScaledWSConv3d>(
          ScaledWSConv3dOptions{.in_size = volume, .out_channels = 6, .kernel_size = {1, 2, 3}}),
      std::make_shared<Conv3d>(Conv3dOptions{
          .in_size = {4, 2, 3, 4}, .out_channels = 6, .kernel_size = 1, .b_init = bias, .channel_first = true}),
      std::make_shared<ConvTranspose3d>(ConvTranspose3dOptions{
          .in_size = {2, 3, 4, 6}, .out_channels = 4, .kernel_size = {1, 2, 3}, .groups = 2, .b_init = bias}),
      std::make_shared<DepthwiseSeparableConv3d>(
          DepthwiseSeparableConv3dOptions{.in_size = volume, .out_channels = 6, .kernel_size = 3, .multiplier = 2}),
      std::make_shared<SqueezeExcite3d>(SqueezeExcite3dOptions{.in_size = volume, .reduction = 2}),
      std::make_shared<ResidualBlock3d>(ResidualBlock3dOptions{.in_size = volume, .out_channels = 6}),
      std::make_shared<LayerNorm>(LayerNormOptions{.in_size = volume}),
      std::make_shared<LayerNorm>(LayerNormOptions{.in_size = {4, 5}, .reduction_axes = {0}, .feature_axes = {0}}),
      std::make_shared<LayerNorm>(
          LayerNormOptions{.in_size = {4, 5}, .reduction_axes = {-1, -2}, .feature_axes = {0, 1}}),
      std::make_shared<Dropout>(DropoutOptions{.seed = 3}),
      std::make_shared<Sequential>(make_net())};
  for (const auto& m : modules)
    for (const StateLayout layout : {voxgrad_layout, torch_layout}) {
      INFO(m->kind() << " " << static_cast<int>(layout));
      fill(*m);
      NamedTensors before = state_dict(*m, layout);
      for (auto& [name, tensor] : before) tensor = tensor.clone();
      const NamedTensors own = state_dict(*m);
      for (const auto& [path, state] : m->states())
        for (const std::string& leaf : state.leaves())
          State(state).set(leaf, Tensor::zeros(state[leaf].shape(), state[leaf].dtype()));
      CHECK(load_state_dict(*m, before, layout).complete());
      check_same(state_dict(*m, layout), before);
      if (m->kind() != "Dropout") check_same(state_dict(*m), own);
    }
}

TEST_CASE("state_dict: names") {
  Sequential net(Conv3d({.in_size = {4, 4, 4, 1}, .out_channels = 2, .kernel_size = 3, .b_init = init::ZeroInit()}),
                 BatchNorm3d(), Dropout({.seed = 1}));
  using Names = std::vector<std::string>;
  CHECK(names_of(state_dict(net)) == Names{"layers.0.weight.weight", "layers.0.weight.bias", "layers.1.weight.scale",
                                           "layers.1.weight.bias", "layers.1.running_mean.value",
                                           "layers.1.running_var.value", "layers.2.random.key"});
  CHECK(names_of(state_dict(net, torch_layout)) ==
        Names{"0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked"});

  struct Own : Module {
    ParamState scale, weight, table;
    Conv3d stem{{.in_size = {4, 4, 4, 1}, .out_channels = 2, .kernel_size = 3}};
    Own() {
      scale.add("value", Tensor::ones({2}));
      weight.add("gamma", Tensor::ones({2, 3}));
      table.add("low", Tensor::ones({1}));
    }
    Variable update(Variable x) override { return stem(x); }
    void visit(Visitor& v) override {
      v("scale", scale);
      v("stem", stem);
      v("weight", weight);
      v("table", table);
    }
  } own;
  CHECK(names_of(state_dict(own, torch_layout)) == Names{"scale", "stem.weight", "gamma", "table.low"});
}

TEST_CASE("state_dict: rename, prefix and partial loads work on the layout's names") {
  Sequential net(small(), Linear(2));
  fill(net);
  const NamedTensors file = renamed(state_dict(net, torch_layout), {{"", "module.body"}});
  CHECK(file.at(0).first == "module.body.0.weight");
  Sequential other(small(), Linear(2));
  load_state_dict(other, file, torch_layout, {.rename = {{"module.body", ""}}});
  check_same(state_dict(other), state_dict(net));

  Sequential longer(small(), Linear(2), Linear(5));
  CHECK_THROWS_WITH(
      load_state_dict(longer, state_dict(net, torch_layout), torch_layout),
      Contains("nothing was loaded; 2 problems") && Contains("missing: the module has \"2.weight\" (f32 (5, 2))"));
  const LoadReport report = load_state_dict(longer, state_dict(net, torch_layout), torch_layout, {.strict = false});
  CHECK(report.loaded == std::vector<std::string>{"0.weight", "0.bias", "1.weight", "1.bias"});
  CHECK(report.missing == std::vector<std::string>{"2.bias", "2.weight"});
  fill(longer);
  const Tensor kept = longer.get<Linear>(0).weight["weight"].value();
  load_state_dict(longer, state_dict(net, torch_layout), torch_layout, {.prefix = "1"});
  CHECK(same_bits(longer.get<Linear>(1).weight["bias"].value(), net.get<Linear>(1).weight["bias"].value()));
  CHECK(same_bits(longer.get<Linear>(0).weight["weight"].value(), kept));
  CHECK_THROWS_WITH(load_state_dict(longer, file, torch_layout, {.rename = {{"nothing", "0"}}}),
                    Contains("rename: no path of the file begins with \"nothing\""));
  CHECK_THROWS_WITH(load_state_dict(longer, {}, torch_layout, {.prefix = "9"}),
                    Contains("prefix: the module has no tensor below \"9\""));
  CHECK_THROWS_WITH(renamed(file, {{"head", ""}}),
                    Contains("[renamed] rename: no path of the file begins with \"head\""));
  CHECK_THROWS_WITH(renamed({{"a.x", Tensor::ones({1})}, {"b.x", Tensor::ones({1})}}, {{"a", "b"}}),
                    Contains("two tensors of the file are to be \"b.x\""));
  CHECK_THROWS_WITH(renamed({{"a", Tensor::ones({1})}}, {{"a", ""}}), Contains("empty name"));
}

TEST_CASE("state_dict: all differences are listed with advice, and nothing has changed") {
  Sequential net(small(), ReLU(), Linear(2));
  fill(net);
  const NamedTensors before = state_dict(net);
  NamedTensors file = state_dict(net, torch_layout);
  const auto message = [&](StateLayout layout = torch_layout) {
    return message_of([&] { load_state_dict(net, file, layout); });
  };
  CHECK_THAT(message(voxgrad_layout), Contains("missing: the module has \"layers.0.weight.weight\" (f32 (2, 3))") &&
                                          Contains("unexpected: the module has no \"0.weight\"") &&
                                          Contains("(names and shapes are those of vg::torch_layout)"));
  file[0].second = Tensor::ones({2, 3});
  CHECK_THAT(message(), Contains("1 problem:\n  0.weight: got f32 (2, 3), must be f32 (3, 2)"));
  file[0].second = Tensor::ones({3, 2}, f64);
  CHECK_THAT(message(), Contains("0.weight: got f64 (3, 2), must be f32 (3, 2)"));
  file[0].second = Tensor();
  CHECK_THAT(message(), Contains("0.weight: got no tensor"));
  file[0] = file[1];
  CHECK_THAT(message(), Contains("two tensors of the file are to be \"0.bias\""));
  check_same(state_dict(net), before);

  Sequential unbuilt(Linear(3), ReLU());
  CHECK_THROWS_WITH(load_state_dict(unbuilt, before), Contains("has no tensors yet"));
}

TEST_CASE("state_dict: loaded values are copies, gradients are dropped, frozen leaves stay frozen") {
  Linear from = small(), to = small();
  NamedTensors tensors = state_dict(from);
  const Tensor before = tensors[0].second.clone();
  to.weight.set_grad("weight", Variable(Tensor::ones({2, 3})));
  load_state_dict(to, tensors);
  tensors[0].second.data<float>()[0] += 1;
  CHECK(same_bits(to.weight["weight"].value(), before));
  CHECK_FALSE(to.weight["weight"].grad().defined());
  CHECK(to.weight["weight"].requires_grad());
}

TEST_CASE("state_dict: a shared state is written under each of its names in PyTorch's layout") {
  auto shared = std::make_shared<Linear>(LinearOptions{.in_size = {2}, .out_features = 2});
  fill(*shared);
  Sequential twice(shared, ReLU(), shared);
  CHECK(state_dict(twice).size() == 2);
  NamedTensors file = state_dict(twice, torch_layout);
  CHECK(names_of(file) == std::vector<std::string>{"0.weight", "0.bias", "2.weight", "2.bias"});
  CHECK(load_state_dict(twice, file, torch_layout).complete());
  NamedTensors first(file.begin(), file.begin() + 2), second(file.begin() + 2, file.end());
  CHECK(load_state_dict(twice, first, torch_layout).complete());
  CHECK(load_state_dict(twice, second, torch_layout).complete());
  file[2].second = Tensor::zeros({2, 2});
  CHECK_THROWS_WITH(load_state_dict(twice, file, torch_layout),
                    Contains("2.weight: is the same state as an earlier name"));
}

TEST_CASE("state_dict: tensors that PyTorch's layout cannot express are refused by name") {
  const auto message = [](Module& m) { return message_of([&] { state_dict(m, torch_layout); }); };
  Sequential masked(
      Conv3d({.in_size = {4, 4, 4, 1}, .out_channels = 2, .kernel_size = 1, .w_mask = init::Constant(0)}));
  CHECK_THAT(message(masked), Contains("[state_dict] 0 (Conv3d): a w_mask has no counterpart"));
  Conv3d bias({.in_size = {4, 4, 4, 1}, .out_channels = 2, .kernel_size = 1, .b_init = Tensor::ones({1})});
  CHECK_THAT(message(bias), Contains("[state_dict] Conv3d: its bias has the shape (1,)"));
  Sequential block(Flatten({.in_size = {2, 2, 2, 3}}), Branches({}, Linear(24), Identity()));
  CHECK_THAT(message(block), Contains("[state_dict] 1 (Branches): it reads the features of a flattened volume"));
  struct Net : Module {
    Sequential body{Flatten({.in_size = {2, 2, 2, 3}})};
    Linear head{{.in_size = {24}, .out_features = 2}};
    Variable update(Variable x) override { return head(body(x)); }
    void visit(Visitor& v) override {
      v("body", body);
      v("head", head);
    }
  } net;
  CHECK_THAT(message(net), Contains("[state_dict] body: its result is the features of a flattened volume") &&
                               Contains("put the Flatten and that layer into one"));
  CHECK(state_dict(net).size() == 2);
  struct Loop : Module {
    Variable update(Variable x) override { return x; }
    void visit(Visitor& v) override { v("self", *this); }
  } loop;
  CHECK_THAT(message(loop), Contains("[state_dict] self: the module visits itself"));
  struct Two : Module {
    ParamState a{}, b{};
    Two() {
      a.add("b.c", Tensor::ones({1}));
      b.add("c", Tensor::ones({1}));
    }
    Variable update(Variable x) override { return x; }
    void visit(Visitor& v) override {
      v("a", a);
      v("a.b", b);
    }
  } two;
  CHECK_THAT(message(two), Contains("two tensors of the module have the name \"a.b.c\""));
}
