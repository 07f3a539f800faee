// The layers: comparison with the reference files and with finite differences, sizes, modes, Sequential, errors.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <set>

#include "support/golden.hpp"
#include "support/layer_cases.hpp"
#include "support/message_of.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/ops/ops.hpp"
#include "voxgrad/framework/transforms/gradcheck_catch.hpp"
#include "voxgrad/layers/layers.hpp"

using namespace vg;
using namespace vg::test;
using Catch::Contains;
using nlohmann::json;
using vg::test::message_of;

namespace {

Variable ones(const Shape& shape, DType dtype = f32) { return Tensor::ones(shape, dtype); }
Variable numbers(const Shape& shape, DType dtype = f32) {
  return random::normal(random::key_of(5), shape, 0, 1, dtype);
}

void check_close(const std::string& what, const Tensor& got, const Tensor& want, double allowed) {
  INFO(what);
  CHECK(golden::error(got, want) <= allowed);
}

void replay(const json& record, Module& m, DType dtype, double allowed) {
  m.to(dtype);
  States states = m.states();
  for (const auto& [name, value] : record.at("states").items()) {
    if (name == "w_mask") continue;
    const auto [path, leaf] = golden::leaf_of(name);
    State(states.at(path)).set(leaf, golden::tensor(value, dtype));
  }
  m.train(record.at("mode") == "train");
  const Variable x(golden::tensor(record.at("inputs").at("x"), dtype), true);
  const Variable y = m(x);
  y.backward(golden::tensor(record.at("grad_output"), dtype));
  check_close("output", y.value(), golden::tensor(record.at("output"), f64), allowed);
  for (const auto& [name, value] : record.at("grads").items()) {
    const auto [path, leaf] = golden::leaf_of(name);
    const Variable grad = name == "x" ? x.grad() : states.at(path)[leaf].grad();
    REQUIRE(grad.defined());
    check_close("gradient of " + name, grad.value(), golden::tensor(value, f64), allowed);
  }
  if (record.at("new_states").is_null()) return;
  for (const auto& [name, value] : record.at("new_states").items()) {
    const auto [path, leaf] = golden::leaf_of(name);
    check_close("new " + name, states.at(path)[leaf].value(), golden::tensor(value, f64), allowed);
  }
}

// Parameters are changed first, because initial values such as a scale of ones would hide mistakes.
void check_gradients(Module& m, const Shape& shape) {
  m.to(f64);
  std::vector<Variable> leaves;
  std::uint64_t seed = 1;
  for (auto [path, state] : m.parameters())
    for (const std::string& leaf : state.leaves()) {
      const Variable off = Variable(random::normal(random::key_of(seed++), state[leaf].shape(), 0, 0.3, f64));
      state.set(leaf, (off + 0.5).value());
      leaves.push_back(state[leaf]);
    }
  const Variable x(numbers(shape, f64).value(), true);
  leaves.push_back(x);
  INFO(m.kind());
  CHECK_THAT(gradcheck_leaves([&] { return m(x); }, leaves, {.max_elements = 40}), Passes());
}

}  // namespace

TEST_CASE("layers compute what brainstate and PyTorch compute") {
  std::set<std::string> missing;
  int replayed = 0;
  for (const auto& file : golden::files_in(golden::path_of("layers"))) {
    const json record = golden::read(file);
    const auto name = record.at("name").get<std::string>();
    if (name.starts_with("loss_")) continue;  // ops, not layers
    INFO(name);
    const auto m = golden::layer_of(record), m32 = golden::layer_of(record);
    if (!m) {
      missing.insert(name);
      continue;
    }
    replay(record, *m, f64, 1e-11);
    replay(record, *m32, f32, 2e-4);
    ++replayed;
  }
  CHECK(replayed >= 96);
  CHECK(missing == std::set<std::string>{"act_log_softmax", "act_log_softmax_axis", "global_max_pool"});
}

TEST_CASE("every layer's derivatives agree with differences") {
  const Size size{4, 4, 4, 4};
  const Shape batch{2, 4, 4, 4, 4};
  Conv3d conv(
      {.in_size = size, .out_channels = 4, .kernel_size = 3, .stride = 2, .groups = 2, .b_init = init::ZeroInit()});
  check_gradients(conv, batch);
  Conv3d first({.in_size = size,
                .out_channels = 2,
                .kernel_size = 2,
                .b_init = init::ZeroInit(),
                .w_mask = Tensor::of<float>({2}, {1, 0.5}),
                .channel_first = true});
  check_gradients(first, batch);
  check_gradients(first, {4, 4, 4, 4});
  ConvTranspose3d transposed(
      {.in_size = size, .out_channels = 2, .kernel_size = 3, .stride = 2, .groups = 2, .b_init = init::ZeroInit()});
  check_gradients(transposed, batch);
  ScaledWSConv3d ws({.in_size = size, .out_channels = 3, .kernel_size = 2, .b_init = init::ZeroInit()});
  check_gradients(ws, batch);
  DepthwiseSeparableConv3d separable(
      {.in_size = size, .out_channels = 3, .kernel_size = 3, .multiplier = 2, .b_init = init::ZeroInit()});
  check_gradients(separable, batch);
  Linear linear({.in_size = {4}, .out_features = 3});
  check_gradients(linear, {3, 4});
  check_gradients(linear, {4});
  check_gradients(linear, {2, 3, 4});
  Linear masked({.in_size = {4}, .out_features = 3, .w_mask = Tensor::of<float>({3}, {1, 0, 2})});
  check_gradients(masked, {3, 4});
  BatchNorm3d evaluating({.in_size = size});
  check_gradients(evaluating, batch);
  BatchNorm3d training({.in_size = size});
  training.train();
  check_gradients(training, batch);
  GroupNorm group({.in_size = size, .num_groups = 2});
  check_gradients(group, batch);
  check_gradients(group, {4, 4, 4, 4});
  InstanceNorm3d instance({.in_size = size, .affine = true});
  check_gradients(instance, batch);
  LayerNorm layer({.in_size = size});
  check_gradients(layer, batch);
  LayerNorm middle({.in_size = size, .reduction_axes = {1, 2}, .feature_axes = {0, 3}});
  check_gradients(middle, batch);
  AvgPool3d average({.kernel_size = 3, .stride = 2, .padding = "SAME"});
  check_gradients(average, batch);
  MaxPool3d largest({.kernel_size = 2});
  check_gradients(largest, batch);
  GlobalAvgPool3d global;
  check_gradients(global, batch);
  Upsample up({.scale = {1, 2, 3}});
  check_gradients(up, batch);
  Upsample trilinear({.mode = "trilinear", .size = {3, 5, 7}});
  check_gradients(trilinear, batch);
  WeightNormConv3d weight_norm({.in_size = size, .out_channels = 3, .kernel_size = 2, .b_init = init::ZeroInit()});
  check_gradients(weight_norm, batch);
  PReLU prelu({.per_channel = true, .in_size = {4}});
  check_gradients(prelu, batch);
  SqueezeExcite3d excite({.in_size = size, .reduction = 2});
  check_gradients(excite, batch);
  check_gradients(excite, {4, 4, 4, 4});
  ResidualBlock3d residual({.in_size = size, .out_channels = 2, .stride = 2, .norm = "instance", .activation = "silu"});
  check_gradients(residual, batch);
  BottleneckBlock3d bottleneck({.in_size = size, .channels = 1, .activation = "gelu"});
  check_gradients(bottleneck, batch);
  Sequential all(Conv3d({.in_size = size, .out_channels = 2, .kernel_size = 3}), GELU(), Flatten(),
                 Linear({.out_features = 2}), Softmax());
  check_gradients(all, batch);
}

TEST_CASE("BatchNorm3d: modes, running statistics, sizes") {
  BatchNorm3d norm({.in_size = {2, 2, 2, 3}});
  CHECK(norm.running_mean["value"].shape() == Shape{1, 1, 1, 3});
  CHECK(norm.weight["scale"].shape() == Shape{1, 1, 1, 3});
  const Variable x = numbers({4, 2, 2, 2, 3}) * 3.0 + 5.0;
  const Variable same_as_x = norm(x);  // evaluation with mean 0 and variance 1
  CHECK(golden::error(same_as_x.value(), x.value()) < 1e-4);
  CHECK(norm.running_mean["value"].value().value_at(0) == 0);
  norm.train();
  const Tensor before = norm.running_mean["value"].value();
  const Variable y = norm(x);
  CHECK(mean(y).item() == Approx(0).margin(1e-5));
  CHECK(before.value_at(0) == 0);  // the old value is not overwritten
  CHECK(norm.running_mean["value"].value().value_at(0) == Approx(0.05).margin(0.02));
  CHECK(norm(reshape(slice(x, 0, {0, 1}), {2, 2, 2, 3})).shape() == Shape{2, 2, 2, 3});
  CHECK_THROWS_AS(norm(ones({4, 2, 2, 3, 3})), ValueError);
  BatchNorm3d open({.in_size = {dynamic, dynamic, dynamic, 3}, .affine = false});
  CHECK(open.weight.size() == 0);
  CHECK(open(ones({1, 3, 4, 5, 3})).shape() == Shape{1, 3, 4, 5, 3});
  CHECK_THROWS_AS(BatchNorm3d({.in_size = {2, 2, 2, 3}, .momentum = 1.5}), ValueError);
  CHECK_THROWS_AS(BatchNorm3d({.in_size = {2, 2, 2, 3}, .epsilon = -1}), ValueError);
  CHECK_THROWS_AS(BatchNorm3d({.in_size = {3}}), ValueError);
  CHECK_THAT(message_of([] { BatchNorm3d()(ones({1, 2, 2, 2, 3})); }), Contains("[BatchNorm3d] in_size: not given"));
}

TEST_CASE("GroupNorm, InstanceNorm3d, LayerNorm: bad arguments are refused") {
  CHECK_THAT(message_of([] { GroupNorm({.in_size = {6}}); }),
             Contains("num_groups: got 32; must divide the channels, 6"));
  CHECK_THAT(message_of([] { GroupNorm({.num_groups = 2, .group_size = 3}); }), Contains("got both"));
  CHECK_THAT(message_of([] { GroupNorm({.num_groups = std::nullopt}); }), Contains("got neither"));
  CHECK_THAT(message_of([] { GroupNorm({.num_groups = 0}); }), Contains("num_groups: got 0"));
  CHECK_THROWS_AS(GroupNorm({.in_size = {6}, .num_groups = 2})(ones({2, 3, 5})), ValueError);
  CHECK_THROWS_AS(InstanceNorm3d({.in_size = {6}})(ones({2, 3, 6})), ValueError);
  CHECK(InstanceNorm3d({.in_size = {dynamic, dynamic, dynamic, 6}})(ones({2, 3, 4, 6})).shape() == Shape{2, 3, 4, 6});
  CHECK_THROWS_AS(LayerNorm({.in_size = {2, 3}, .reduction_axes = {-1, 1}}), ValueError);
  CHECK_THROWS_AS(LayerNorm({.in_size = {2, 3}, .reduction_axes = {2}}), ValueError);
  CHECK_THROWS_AS(LayerNorm({.in_size = {2, dynamic}}), ValueError);
  CHECK_THROWS_AS(LayerNorm({.in_size = {2, 3}, .reduction_axes = {}}), ValueError);
  CHECK_THROWS_AS(LayerNorm({.in_size = {2, 3}})(ones({4, 3, 3})), ValueError);
}

TEST_CASE("Linear: sizes, bias, errors") {
  Linear linear({.in_size = {dynamic, 4}, .out_features = 3});
  CHECK(linear.out_size() == Size{dynamic, 3});
  CHECK(linear(ones({2, 7, 4})).shape() == Shape{2, 7, 3});
  CHECK(linear(ones({7, 4})).shape() == Shape{7, 3});
  CHECK(linear(ones({0, 7, 4})).shape() == Shape{0, 7, 3});
  CHECK(linear.weight["bias"].shape() == Shape{3});
  CHECK_FALSE(Linear({.in_size = {4}, .out_features = 3, .b_init = std::nullopt}).weight.has("bias"));
  CHECK_THAT(message_of([&] {
               linear(ones({7, 5}));
             }),
             Contains("[Linear] input: got (7, 5); must end with (dynamic, 4)"));
  CHECK_THROWS_AS(Linear({.in_size = {4}}), ValueError);
  CHECK_THROWS_AS(Linear({.in_size = {4, dynamic}, .out_features = 1}), ValueError);
  CHECK_THROWS_AS(Linear({.in_size = {4}, .out_features = 2, .w_init = Tensor::ones({2, 4})}), ValueError);
  CHECK_THAT(message_of([] { Linear({.out_features = 2})(ones({2, 4})); }), Contains("[Linear] in_size: not given"));
}

TEST_CASE("pooling, upsampling, flattening: sizes and errors") {
  CHECK(MaxPool3d({.kernel_size = 2, .in_size = {7, 8, 9, 3}}).out_size() == Size{3, 4, 4, 3});
  CHECK(AvgPool3d({.kernel_size = 2, .in_size = {7, 8, 9, 3}}).out_size() == Size{6, 7, 8, 3});
  CHECK(
      MaxPool3d({.kernel_size = {1, 2, 3}, .stride = 2, .padding = "SAME", .in_size = {7, 8, dynamic, 3}}).out_size() ==
      Size{4, 4, dynamic, 3});
  CHECK(MaxPool3d({.kernel_size = 2})(ones({2, 4, 5, 6, 1})).shape() == Shape{2, 2, 2, 3, 1});
  CHECK(MaxPool3d({.kernel_size = 2})(ones({4, 5, 6, 1})).shape() == Shape{2, 2, 3, 1});
  CHECK_THAT(message_of([] { MaxPool3d({.kernel_size = 2, .padding = 2}); }), Contains("padding: got (2, 2)"));
  CHECK_THAT(message_of([] { MaxPool3d({.kernel_size = 2, .padding = -1}); }), Contains("padding"));
  CHECK_THAT(message_of([] {
               AvgPool3d({.kernel_size = 5, .in_size = {4, 9, 9, 1}});
             }),
             Contains("[AvgPool3d] output: would be empty"));
  CHECK_THAT(message_of([] { AvgPool3d({.kernel_size = 5})(ones({4, 9, 9, 1})); }), Contains("output: would be empty"));
  CHECK_THROWS_AS(MaxPool3d({.kernel_size = 2})(ones({4, 5, 6})), ValueError);
  CHECK_THROWS_AS(MaxPool3d({}), TypeError);
  CHECK_THROWS_AS(MaxPool3d({.kernel_size = 2, .stride = 0}), ValueError);

  CHECK(GlobalAvgPool3d({.in_size = {dynamic, 2, 3, 4}}).out_size() == Size{4});
  CHECK(GlobalAvgPool3d()(ones({2, 3, 4, 5})).shape() == Shape{5});
  CHECK(Upsample({.in_size = {dynamic, 2, 3, 4}}).out_size() == Size{dynamic, 4, 6, 4});
  CHECK(Upsample()(ones({2, 3, 4, 5})).shape() == Shape{4, 6, 8, 5});
  CHECK_THROWS_AS(Upsample({.mode = "cubic"}), ValueError);
  CHECK_THROWS_AS(Upsample({.scale = 0}), ValueError);

  CHECK(Flatten({.in_size = {2, 3, 4, 5}}).out_size() == Size{120});
  CHECK(Flatten({.start_axis = 1, .end_axis = 2, .in_size = {2, 3, 4, 5}}).out_size() == Size{2, 12, 5});
  CHECK(Flatten({.in_size = {2, dynamic}}).out_size() == Size{dynamic});
  Flatten flatten({.start_axis = 1, .end_axis = -2, .in_size = {2, 3, dynamic, 5}});
  CHECK(flatten(ones({7, 2, 3, 4, 5})).shape() == Shape{7, 2, 12, 5});
  CHECK(flatten(ones({2, 3, 4, 5})).shape() == Shape{2, 12, 5});
  CHECK_THROWS_AS(Flatten({.start_axis = 2, .end_axis = 1, .in_size = {2, 3, 4}}), ValueError);
  CHECK_THROWS_AS(Flatten({.start_axis = 3, .in_size = {2, 3, 4}}), ValueError);
  CHECK_THROWS_AS(Flatten()(ones({2, 3})), ValueError);
}

TEST_CASE("Dropout: keeps with probability keep_prob; its own stream, or the default one") {
  Dropout own({.keep_prob = 0.8, .seed = 42});
  const Variable x = ones({3, 2, 2, 2, 5});
  CHECK(own(x).is(x));
  CHECK(own.random->key() == random::key_of(42));  // evaluation mode draws nothing
  own.train();
  const json record = golden::read(golden::path_of("layers/dropout_keep_0_8.json"));
  for (const char* mask : {"keep_mask", "second_call_keep_mask"}) {
    const Tensor keep = golden::tensor(record.at(mask), f32), y = own(x).value();
    for (std::int64_t i = 0; i < y.numel(); ++i) CHECK(y.value_at(i) == (keep.value_at(i) != 0 ? 1.25F : 0.0F));
  }
  Dropout shared({.keep_prob = 0.8});
  shared.train();
  random::seed(42);
  const Tensor y = shared(x).value(), keep = golden::tensor(record.at("keep_mask"), f32);
  for (std::int64_t i = 0; i < y.numel(); ++i) CHECK((y.value_at(i) != 0) == (keep.value_at(i) != 0));
  CHECK(shared.states().empty());
  CHECK(own.states().has("random"));
  Dropout all({.keep_prob = 1});
  all.train();
  CHECK(all(x).is(x));
  for (double bad : {0.0, -0.5, 1.5, std::nan("")}) CHECK_THROWS_AS(Dropout({.keep_prob = bad}), ValueError);
}

TEST_CASE("Sequential: infers sizes, names its children, refuses modules that do not fit") {
  Sequential net(Conv3d({.in_size = {8, 8, 8, 1}, .out_channels = 4, .kernel_size = 3, .stride = 2}), BatchNorm3d(),
                 ReLU(), MaxPool3d({.kernel_size = 2}), Dropout(), Flatten(), Linear({.out_features = 2}));
  CHECK(net.in_size() == Size{8, 8, 8, 1});
  CHECK(net.out_size() == Size{2});
  CHECK(net.size() == 7);
  CHECK(net[5].out_size() == Size{32});
  CHECK(net(ones({3, 8, 8, 8, 1})).shape() == Shape{3, 2});
  CHECK(net.states().has("layers.6.weight"));
  CHECK(net.get<Linear>(6).weight["weight"].shape() == Shape{32, 2});
  CHECK_THROWS_AS(net.get<Conv3d>(6), TypeError);
  CHECK_THROWS_AS(net[7], ValueError);
  CHECK_THROWS_AS(net.push_back(Linear({.in_size = {3}, .out_features = 2})), ValueError);
  CHECK_THROWS_AS(net.push_back(std::shared_ptr<Module>()), ValueError);
  CHECK(net.size() == 7);
  net.push_back(Softmax());
  CHECK(sum(net(ones({8, 8, 8, 1}))).item() == Approx(1));

  Sequential late(ReLU(), Conv3d({.out_channels = 2, .kernel_size = 3}), GroupNorm({.num_groups = 2}),
                  GlobalAvgPool3d());
  CHECK(late.out_size().empty());
  CHECK_THROWS_AS(late(ones({2, 4, 4, 4, 3})), ValueError);
  late.build({4, dynamic, 4, 3});
  CHECK(late.out_size() == Size{2});
  CHECK(late(ones({2, 4, 9, 4, 3})).shape() == Shape{2, 2});
  CHECK_THROWS_AS(Sequential()(ones({1})), ValueError);
  CHECK_THROWS_AS(Sequential().build({1}), ValueError);

  Sequential nested(Sequential(Conv3d({.in_size = {4, 4, 4, 1}, .out_channels = 2, .kernel_size = 3}), ReLU()),
                    Conv3d({.out_channels = 3, .kernel_size = 1}));
  CHECK(nested.out_size() == Size{4, 4, 4, 3});
  CHECK(nested.states().has("layers.0.layers.0.weight"));
}

TEST_CASE("every layer lists its options by name, and none twice") {
  const std::vector<std::shared_ptr<Module>> layers{
      std::make_shared<Conv3d>(Conv3dOptions{.in_size = {4, 4, 4, 2}, .out_channels = 2, .kernel_size = 3}),
      std::make_shared<ConvTranspose3d>(
          ConvTranspose3dOptions{.in_size = {4, 4, 4, 2}, .out_channels = 2, .kernel_size = 3}),
      std::make_shared<ScaledWSConv3d>(
          ScaledWSConv3dOptions{.in_size = {4, 4, 4, 2}, .out_channels = 2, .kernel_size = 3}),
      std::make_shared<DepthwiseSeparableConv3d>(
          DepthwiseSeparableConv3dOptions{.in_size = {4, 4, 4, 2}, .out_channels = 2, .kernel_size = 3}),
      std::make_shared<Linear>(LinearOptions{.in_size = {2}, .out_features = 2}),
      std::make_shared<BatchNorm3d>(BatchNorm3dOptions{.in_size = {4, 4, 4, 2}}),
      std::make_shared<GroupNorm>(GroupNormOptions{.in_size = {2}, .num_groups = 2}),
      std::make_shared<InstanceNorm3d>(InstanceNorm3dOptions{.in_size = {2}}),
      std::make_shared<LayerNorm>(LayerNormOptions{.in_size = {2}}),
      std::make_shared<MaxPool3d>(MaxPool3dOptions{.kernel_size = 2}),
      std::make_shared<AvgPool3d>(AvgPool3dOptions{.kernel_size = 2}),
      std::make_shared<GlobalAvgPool3d>(),
      std::make_shared<LeakyReLU>(),
      std::make_shared<GELU>(),
      std::make_shared<Softmax>(),
      std::make_shared<Dropout>(),
      std::make_shared<SpatialDropout3d>(),
      std::make_shared<AdaptiveAvgPool3d>(AdaptivePool3dOptions{.output_size = 2}),
      std::make_shared<AdaptiveMaxPool3d>(AdaptivePool3dOptions{.output_size = 2}),
      std::make_shared<PReLU>(),
      std::make_shared<ZeroPad3d>(ZeroPad3dOptions{.padding = 1}),
      std::make_shared<ELU>(),
      std::make_shared<Softplus>(),
      std::make_shared<Branches>(),
      std::make_shared<SqueezeExcite3d>(),
      std::make_shared<ResidualBlock3d>(ResidualBlock3dOptions{.in_size = {4, 4, 4, 2}, .out_channels = 2}),
      std::make_shared<BottleneckBlock3d>(BottleneckBlock3dOptions{.in_size = {4, 4, 4, 2}, .channels = 2}),
      std::make_shared<WeightNormConv3d>(
          WeightNormConv3dOptions{.in_size = {4, 4, 4, 2}, .out_channels = 2, .kernel_size = 3}),
      std::make_shared<Flatten>(),
      std::make_shared<Upsample>()};
  for (const auto& layer : layers) {
    INFO(layer->kind());
    CHECK_FALSE(layer->options().empty());
    std::set<std::string> names;
    for (const auto& [name, value] : layer->options()) CHECK(names.insert(name).second);
  }
}
