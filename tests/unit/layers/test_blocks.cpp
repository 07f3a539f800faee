// Blocks and related layers: sizes, parameter counts of their PyTorch twins, use in Sequential, and errors.
#include <catch2/catch.hpp>

#include "support/golden.hpp"
#include "support/message_of.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/ops/ops.hpp"
#include "voxgrad/layers/layers.hpp"

using namespace vg;
using namespace vg::test;
using Catch::Contains;
using vg::test::message_of;

namespace {

Variable numbers(const Shape& shape) { return random::normal(random::key_of(5), shape); }
Variable ones(const Shape& shape) { return Tensor::ones(shape); }
std::int64_t count(Module& m) { return m.parameters().numel(); }

}  // namespace

TEST_CASE("residual blocks: sizes and the parameters of torchvision's blocks", "[blocks]") {
  // conv1 27 * 64 * 128, bn1 2 * 128, conv2 27 * 128 * 128, bn2, and downsample 64 * 128 with bn
  ResidualBlock3d down({.in_size = {6, 8, 7, 64}, .out_channels = 128, .stride = 2});
  CHECK(down.out_size() == Size{3, 4, 4, 128});
  CHECK(count(down) == 27 * 64 * 128 + 27 * 128 * 128 + 64 * 128 + 6 * 128);
  ResidualBlock3d plain({.in_size = {dynamic, dynamic, dynamic, 64}, .out_channels = 64});
  CHECK(plain.out_size() == Size{dynamic, dynamic, dynamic, 64});
  CHECK_FALSE(plain.shortcut.has_value());
  CHECK(count(plain) == 2 * 27 * 64 * 64 + 4 * 64);
  BottleneckBlock3d narrow({.in_size = {5, 4, 4, 32}, .channels = 16, .stride = {1, 2, 2}});
  CHECK(narrow.out_size() == Size{5, 2, 2, 64});
  CHECK(count(narrow) == 32 * 16 + 27 * 16 * 16 + 16 * 64 + 2 * (16 + 16 + 64) + 32 * 64 + 2 * 64);
  CHECK(narrow(numbers({2, 5, 4, 4, 32})).shape() == Shape{2, 5, 2, 2, 64});
  CHECK(narrow(numbers({5, 4, 4, 32})).shape() == Shape{5, 2, 2, 64});

  Sequential net(ResidualBlock3d({.out_channels = 4}), BottleneckBlock3d({.channels = 2, .stride = 2}),
                 SqueezeExcite3d({.reduction = 4}), GlobalAvgPool3d());
  net.train();
  net.build({4, 4, 4, 2});
  CHECK(net.out_size() == Size{8});
  CHECK(net.get<ResidualBlock3d>(0).main->at(1)->training());  // although it was built after train()
  CHECK(net.states().has("layers.0.main.layers.0.weight"));
  CHECK(net.states().has("layers.0.shortcut.layers.1.running_mean"));
  CHECK(net(numbers({2, 4, 4, 4, 2})).shape() == Shape{2, 8});
}

TEST_CASE("residual blocks and squeeze-and-excite say what is wrong", "[blocks]") {
  CHECK_THAT(message_of([] {
               ResidualBlock3d({.in_size = {4, 4, 4, 2}});
             }),
             Contains("[ResidualBlock3d] out_channels: got 0; must be at least 1"));
  CHECK_THAT(message_of([] { ResidualBlock3d({.out_channels = 2, .norm = "layer"}); }),
             Contains("[ResidualBlock3d] norm: got \"layer\"; must be \"batch\", \"group\" or \"instance\""));
  CHECK_THAT(message_of([] { ResidualBlock3d({.out_channels = 2, .activation = "sine", .name = "b"}); }),
             Contains("[ResidualBlock3d b] activation: got \"sine\""));
  CHECK_THAT(message_of([] { ResidualBlock3d({.out_channels = 2, .w_init = std::nullopt}); }),
             Contains("[ResidualBlock3d] w_init: got None"));
  CHECK_THAT(message_of([] {
               ResidualBlock3d({.in_size = {4, 4, 4, 2}, .out_channels = 4, .norm = "group"});
             }),
             Contains("num_groups: got 8; must divide the channels, 4"));
  CHECK_THAT(message_of([] { ResidualBlock3d({.out_channels = 2, .stride = 0}); }),
             Contains("[ResidualBlock3d] stride"));
  CHECK_THAT(message_of([] {
               ResidualBlock3d({.in_size = {4, 4, 2}, .out_channels = 2});
             }),
             Contains("[ResidualBlock3d] in_size"));
  CHECK_THAT(message_of([] {
               ResidualBlock3d({.out_channels = 2})(numbers({1, 4, 4, 4, 2}));
             }),
             Contains("[ResidualBlock3d] in_size: not given"));
  CHECK_THAT(message_of([] { BottleneckBlock3d({}); }), Contains("[BottleneckBlock3d] channels: got 0"));
  CHECK_THAT(message_of([] { BottleneckBlock3d({.channels = 2, .expansion = -1}); }), Contains("expansion: got -1"));
  CHECK_THAT(message_of([] { SqueezeExcite3d({.reduction = 0}); }), Contains("[SqueezeExcite3d] reduction: got 0"));
  SqueezeExcite3d excite({.in_size = {2, 2, 2, 4}});
  CHECK(count(excite) == 4 + 1 + 4 + 4);  // at least one hidden feature
  CHECK_THAT(message_of([&] { excite(numbers({2, 2, 2, 3})); }), Contains("[SqueezeExcite3d] input: got (2, 2, 2, 3)"));
}

TEST_CASE("Branches: adds or concatenates, and checks the sizes", "[blocks]") {
  const auto conv = [](std::int64_t channels, std::int64_t stride = 1) {
    return Conv3d({.out_channels = channels, .kernel_size = 1, .stride = stride, .w_init = init::Constant(1)});
  };
  const Variable x = numbers({2, 4, 4, 4, 2});
  Sequential skip(Conv3d({.in_size = {4, 4, dynamic, 2}, .out_channels = 2, .kernel_size = 3}),
                  Branches({.join = "concat"}, Identity(), conv(3)), conv(1));
  CHECK(skip.out_size() == Size{4, 4, dynamic, 1});
  CHECK(skip.states().has("layers.1.branches.1.weight"));
  CHECK(skip(x).shape() == Shape{2, 4, 4, 4, 1});
  Branches both({.join = "concat"}, Identity(), Identity());
  CHECK(golden::error(both(x).value(), concat({x, x}, -1).value()) == 0);
  Branches sum({}, Identity(), Identity(), Identity());
  CHECK(golden::error(sum(x).value(), (x + x + x).value()) == 0);
  CHECK(sum(numbers({4, 4, 4, 2})).shape() == Shape{4, 4, 4, 2});

  CHECK_THAT(message_of([] { Branches({.join = "mul"}); }), Contains("[Branches] join: got \"mul\""));
  CHECK_THAT(message_of([&] { Branches()(x); }), Contains("[Branches] update: there are no modules"));
  CHECK_THAT(message_of([&] { Branches().build({4, 4, 4, 2}); }), Contains("[Branches] build: there are no modules"));
  CHECK_THAT(message_of([] { Branches().push_back(std::shared_ptr<Module>()); }), Contains("got nullptr"));
  CHECK_THAT(message_of([&] {
               Branches({}, Identity(), conv(3)).build({4, 4, 4, 2});
             }),
             Contains("[Branches] branch 1: gives (4, 4, 4, 3); must fit the others' (4, 4, 4, 2)"));
  CHECK_THAT(message_of([&] {
               Branches({.join = "concat"}, Identity(), conv(3, 2)).build({4, 4, 4, 2});
             }),
             Contains("except for the channels"));
  Branches open({}, Identity(), GlobalAvgPool3d());
  CHECK_THAT(message_of([&] { open(x); }), Contains("[Branches] branch 1: gives (2, 2); must be (2, 4, 4, 4, 2)"));
}

TEST_CASE("WeightNormConv3d: starts as its direction, and follows its magnitude", "[blocks]") {
  const Variable x = numbers({2, 4, 5, 3, 4});
  WeightNormConv3d conv({.in_size = {4, 5, 3, 4}, .out_channels = 6, .kernel_size = 3, .groups = 2});
  CHECK(conv.weight.leaves() == std::vector<std::string>{"direction", "magnitude"});
  CHECK(conv.weight["magnitude"].shape() == Shape{1, 1, 1, 1, 6});
  Conv3d same_kernel({.in_size = {4, 5, 3, 4},
                      .out_channels = 6,
                      .kernel_size = 3,
                      .groups = 2,
                      .w_init = conv.weight["direction"].value()});
  const Tensor y = conv(x).value();
  CHECK(golden::error(y, same_kernel(x).value()) < 1e-5);
  conv.weight.set("magnitude", (conv.weight["magnitude"] * 2.0).value());
  CHECK(golden::error(conv(x).value(), mul(Variable(y), 2.0).value()) < 1e-5);
  conv.weight.set("direction", (conv.weight["direction"] * 5.0).value());  // its length does not matter
  CHECK(golden::error(conv(x).value(), mul(Variable(y), 2.0).value()) < 1e-5);
  CHECK_THAT(message_of([] {
               WeightNormConv3d({.in_size = {4, 4, 4, 2}, .kernel_size = 3});
             }),
             Contains("[WeightNormConv3d] out_channels: got 0"));
}

TEST_CASE("activations, adaptive pools, upsampling, channel dropout: sizes and errors", "[blocks]") {
  Sequential net(Conv3d({.in_size = {4, 4, 4, 2}, .out_channels = 3, .kernel_size = 3}), PReLU({.per_channel = true}),
                 AdaptiveMaxPool3d({.output_size = {2, 1, 3}}), Flatten());
  CHECK(net.out_size() == Size{18});
  CHECK(net.get<PReLU>(1).weight["slope"].shape() == Shape{3});
  CHECK(net.get<PReLU>(1).weight["slope"].value().value_at(2) == 0.25);
  CHECK(PReLU()(numbers({3})).shape() == Shape{3});
  CHECK(count(*std::make_unique<PReLU>()) == 1);
  CHECK_THAT(message_of([] { PReLU({.per_channel = true})(numbers({3})); }), Contains("[PReLU] in_size: not given"));
  CHECK_THAT(message_of([] {
               PReLU({.per_channel = true, .in_size = {3, dynamic}});
             }),
             Contains("the channels must be fixed"));
  CHECK_THAT(message_of([] { PReLU({.initial = INFINITY}); }), Contains("[PReLU] initial: got inf"));
  CHECK_THAT(message_of([] { PReLU({.per_channel = true, .in_size = {3}})(numbers({4})); }), Contains("must end with"));
  CHECK_THAT(message_of([] { ELU({.alpha = -1}); }), Contains("[ELU] alpha: got -1"));
  CHECK_THAT(message_of([] { Softplus({.beta = 0}); }), Contains("[Softplus] beta: got 0"));

  CHECK(AdaptiveAvgPool3d({.output_size = 2, .in_size = {dynamic, 5, dynamic, 3}}).out_size() == Size{2, 2, 2, 3});
  CHECK(AdaptiveAvgPool3d({.output_size = 2})(numbers({4, 5, 3, 2})).shape() == Shape{2, 2, 2, 2});
  CHECK_THROWS_AS(AdaptiveAvgPool3d({}), TypeError);
  CHECK_THAT(message_of([] { AdaptiveMaxPool3d({.output_size = 0}); }), Contains("[AdaptiveMaxPool3d] output_size"));
  CHECK_THAT(message_of([] {
               AdaptiveMaxPool3d({.output_size = 1})(numbers({4, 4, 4}));
             }),
             Contains("[AdaptiveMaxPool3d] input: got (4, 4, 4)"));

  CHECK(Upsample({.mode = "trilinear", .size = {7, 8, 9}, .in_size = {dynamic, 2, 3, 4}}).out_size() ==
        Size{7, 8, 9, 4});
  CHECK(Upsample({.scale = {1, 2, 3}, .mode = "trilinear"})(numbers({2, 3, 4, 5})).shape() == Shape{2, 6, 12, 5});
  Upsample half({.mode = "trilinear", .scale_factor = {1.5}, .in_size = {3, 2, dynamic, 1}});
  CHECK(half.out_size() == Size{4, 3, dynamic, 1});
  CHECK(half(numbers({1, 3, 2, 5, 1})).shape() == Shape{1, 4, 3, 7, 1});
  CHECK_THAT(message_of([] { Upsample({.mode = "trilinear", .size = 2, .scale_factor = {2}}); }),
             Contains("[Upsample] size, scale_factor: got both"));
  CHECK_THAT(message_of([] {
               Upsample({.mode = "trilinear", .scale_factor = {2, -1, 1}});
             }),
             Contains("[Upsample] scale_factor: got (2, -1, 1); must be 1 or 3 numbers"));
  CHECK_THAT(message_of([] {
               Upsample({.mode = "trilinear", .scale_factor = {0.4}, .in_size = {2, 8, 8, 1}});
             }),
             Contains("[Upsample] output: would be empty"));
  CHECK_THAT(message_of([] { Upsample({.scale_factor = {2}}); }), Contains("[Upsample] scale_factor: given with"));
  CHECK_THAT(message_of([] { Upsample({.size = 3}); }), Contains("[Upsample] size: given with mode \"nearest\""));
  CHECK_THAT(message_of([] { Upsample({.align_corners = true}); }), Contains("[Upsample] align_corners: given with"));
  CHECK_THROWS_AS(Upsample({.mode = "trilinear", .size = {1, 2}}), TypeError);

  ZeroPad3d pad({.padding = {{1, 0}, {0, 2}, {-1, 0}}, .in_size = {dynamic, 2, 3, 4}});
  CHECK(pad.out_size() == Size{dynamic, 4, 2, 4});
  CHECK(pad(numbers({5, 2, 3, 4})).shape() == Shape{6, 4, 2, 4});
  CHECK(sum(pad(ones({1, 1, 2, 3, 4}))).item() == 16);
  CHECK_THAT(message_of([] { ZeroPad3d({.padding = "SAME"}); }), Contains("[ZeroPad3d] padding: got SAME or VALID"));
  CHECK_THAT(message_of([] {
               ZeroPad3d({.padding = -1, .in_size = {2, 4, 4, 1}});
             }),
             Contains("[ZeroPad3d] output: would be empty for an input of (2, 4, 4, 1)"));

  SpatialDropout3d drop({.keep_prob = 0.6, .seed = 7});
  CHECK(drop(numbers({3})).is(drop(numbers({3}))) == false);
  drop.train();
  CHECK(drop(numbers({2, 2, 2, 3})).shape() == Shape{2, 2, 2, 3});
  CHECK_THAT(message_of([&] { drop(numbers({3})); }), Contains("[SpatialDropout3d] input: got (3,)"));
  CHECK_THAT(message_of([] { SpatialDropout3d({.keep_prob = 0}); }), Contains("[SpatialDropout3d] keep_prob: got 0"));
}
