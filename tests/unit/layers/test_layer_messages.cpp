// Messages of layers for inputs of another dtype or layout, which offer two or three solutions.
#include <catch2/catch.hpp>
#include <memory>

#include "support/message_of.hpp"
#include "voxgrad/framework/ops/ops.hpp"
#include "voxgrad/layers/layers.hpp"

using namespace vg;
using Catch::Contains;
using vg::test::message_of;

namespace {

Variable ones(const Shape& shape, DType dtype = f32) { return Tensor::ones(shape, dtype); }

struct Made {
  std::string kind;
  std::shared_ptr<Module> layer;
};

// Every kind of layer with parameters, for volumes (4, 4, 4, 2).
std::vector<Made> layers() {
  const Size size{4, 4, 4, 2};
  return {
      {"Conv3d", std::make_shared<Conv3d>(Conv3dOptions{.in_size = size, .out_channels = 2, .kernel_size = 3})},
      {"ScaledWSConv3d",
       std::make_shared<ScaledWSConv3d>(ScaledWSConv3dOptions{.in_size = size, .out_channels = 2, .kernel_size = 3})},
      {"WeightNormConv3d", std::make_shared<WeightNormConv3d>(
                               WeightNormConv3dOptions{.in_size = size, .out_channels = 2, .kernel_size = 3})},
      {"ConvTranspose3d",
       std::make_shared<ConvTranspose3d>(ConvTranspose3dOptions{.in_size = size, .out_channels = 2, .kernel_size = 3})},
      {"Linear", std::make_shared<Linear>(LinearOptions{.in_size = size, .out_features = 3})},
      {"BatchNorm3d", std::make_shared<BatchNorm3d>(BatchNorm3dOptions{.in_size = size})},
      {"GroupNorm", std::make_shared<GroupNorm>(GroupNormOptions{.in_size = size, .num_groups = 2})},
      {"InstanceNorm3d", std::make_shared<InstanceNorm3d>(InstanceNorm3dOptions{.in_size = size, .affine = true})},
      {"LayerNorm", std::make_shared<LayerNorm>(LayerNormOptions{.in_size = size})}};
}

}  // namespace

TEST_CASE("an f64 input to an f32 layer: the message names the layer's dtype and both ways out", "[messages]") {
  for (const Made& made : layers()) {
    Module& layer = *made.layer;
    const std::string& kind = made.kind;
    INFO(kind);
    CHECK(message_of<TypeError>([&] {
            layer(ones({1, 4, 4, 4, 2}, f64));
          }) ==
          "[" + kind +
              "] input: got f64; the layer's parameters are f32: convert the input with x.to(vg::f32), or the model "
              "with model.to(vg::f64)");
    CHECK(message_of<TypeError>([&] {
            layer(ones({1, 4, 4, 4, 2}, i32));
          }) == "[" + kind + "] input: got i32; the layer's parameters are f32: convert the input with x.to(vg::f32)");
    layer.to(f64);
    CHECK(layer(ones({1, 4, 4, 4, 2}, f64)).dtype() == f64);
    CHECK_THAT(message_of<TypeError>([&] {
                 layer(ones({1, 4, 4, 4, 2}));
               }),
               Contains("got f32; the layer's parameters are f64: convert the input with x.to(vg::f64), or"));
  }
}

TEST_CASE("a channels-first input to a channels-last layer: the message says so, and what to do", "[messages]") {
  for (const Made& made : layers()) {
    Module& layer = *made.layer;
    const std::string& kind = made.kind;
    INFO(kind);
    const std::string says =
        "the input looks channels-first (2 channels at axis 1), the layer is channels-last, (B, H, "
        "W, D, C): permute it with vg::transpose(x, {0, 2, 3, 4, 1})";
    CHECK_THAT(message_of([&] { layer(ones({3, 2, 4, 4, 4})); }), Contains("[" + kind + "] input: got (3, 2, 4, 4"));
    CHECK_THAT(message_of([&] { layer(ones({3, 2, 4, 4, 4})); }), Contains(says));
    // Any other wrong shape is not reported as channels-first.
    CHECK_THAT(message_of([&] { layer(ones({3, 4, 4, 3, 2})); }), !Contains("channels-first"));
    CHECK_THAT(message_of([&] { layer(ones({3, 5, 4, 4, 4})); }), !Contains("channels-first"));
  }
  Conv3d last({.in_size = {dynamic, dynamic, dynamic, 2}, .out_channels = 2, .kernel_size = 3});
  CHECK_THAT(message_of([&] {
               last(ones({3, 2, 5, 6, 7}));
             }),
             Contains("vg::transpose(x, {0, 2, 3, 4, 1}), or make the layer with .channel_first = true"));
  CHECK_THAT(
      message_of([&] {
        last(ones({2, 5, 6, 7}));
      }),
      Contains("the input looks channels-first (2 channels at axis 0), the layer is channels-last, (H, W, D, C): "
               "permute it with vg::transpose(x, {1, 2, 3, 0})"));
  Conv3d first({.in_size = {2, dynamic, dynamic, dynamic}, .out_channels = 2, .kernel_size = 3, .channel_first = true});
  CHECK_THAT(message_of([&] {
               first(ones({3, 5, 6, 7, 2}));
             }),
             Contains("the input looks channels-last (2 channels at axis 4), the layer is channels-first, (B, C, H, W, "
                      "D): permute it with vg::transpose(x, {0, 4, 1, 2, 3}), or make the layer with .channel_first = "
                      "false"));
  GroupNorm flat({.in_size = {2}, .num_groups = 2});
  CHECK_THAT(message_of([&] { flat(ones({3, 2, 4, 4, 4})); }), Contains("looks channels-first (2 channels at axis 1)"));
}

TEST_CASE("branches whose extents differ by a voxel: the message says how a U-Net takes odd extents", "[messages]") {
  for (const std::string join : {"concat", "add"}) {
    INFO(join);
    Sequential unet(Conv3d({.in_size = {dynamic, dynamic, dynamic, 1}, .out_channels = 2, .kernel_size = 3}),
                    Branches({.join = join}, Identity(), Sequential(MaxPool3d({.kernel_size = 2}), Upsample())));
    CHECK(unet(ones({1, 4, 4, 6, 1})).shape() == Shape{1, 4, 4, 6, join == "add" ? 2 : 4});
    const std::string message = message_of([&] { unet(ones({1, 4, 5, 6, 1})); });
    CHECK_THAT(message, Contains("[Branches] branch 1: gives (1, 4, 4, 6, 2); must be (1, 4, 5, 6, 2) as the first"));
    CHECK_THAT(message, Contains("an odd extent was halved on the way down: use extents that are multiples of 2^levels "
                                 "for a U-Net of that many levels, or pad the input with vg::pad and crop the output"));
  }
  // Other differences of shapes give no such advice.
  Branches other({}, Identity(), GlobalAvgPool3d());
  CHECK_THAT(message_of([&] { other(ones({1, 4, 4, 4, 2})); }), !Contains("2^levels"));
}

TEST_CASE("BatchNorm3d refuses one value per channel in training mode", "[messages]") {
  BatchNorm3d norm({.in_size = {dynamic, dynamic, dynamic, 2}});
  CHECK(norm(ones({1, 1, 1, 1, 2})).shape() == Shape{1, 1, 1, 1, 2});  // evaluation mode accepts it
  norm.train();
  const Tensor before = norm.running_mean["value"].value().clone();
  for (const Shape& shape : {Shape{1, 1, 1, 1, 2}, Shape{1, 1, 1, 2}})
    CHECK_THAT(message_of([&] { norm(ones(shape)); }),
               Contains("[BatchNorm3d] input: got " + shape.str() +
                        ", one value for each channel; training mode needs more than one"));
  CHECK(norm.running_mean["value"].value().values() == before.values());
  CHECK(norm(ones({2, 1, 1, 1, 2})).shape() == Shape{2, 1, 1, 1, 2});
  CHECK(norm(ones({1, 1, 2, 1, 2})).shape() == Shape{1, 1, 2, 1, 2});
}

TEST_CASE("padding that crops more than an axis has: layers refuse it when built, with open extents at the call",
          "[messages]") {
  const std::vector<Pads> crop{{-2, 5}, {0, 0}, {0, 0}};
  const auto says = [](const std::string& kind) { return "[" + kind + "] padding: got (-2, 5) along H, of extent 1"; };
  CHECK_THAT(message_of([&] {
               Conv3d({.in_size = {1, 4, 4, 2}, .out_channels = 2, .kernel_size = 1, .padding = crop});
             }),
             Contains(says("Conv3d")));
  CHECK_THAT(message_of([&] {
               ConvTranspose3d({.in_size = {1, 4, 4, 2}, .out_channels = 2, .kernel_size = 1, .padding = crop});
             }),
             Contains(says("ConvTranspose3d")));
  Conv3d open({.in_size = {dynamic, 4, 4, 2}, .out_channels = 2, .kernel_size = 1, .padding = crop});
  CHECK(open(ones({1, 2, 4, 4, 2})).shape() == Shape{1, 5, 4, 4, 2});
  CHECK_THAT(message_of([&] { open(ones({1, 1, 4, 4, 2})); }), Contains(says("Conv3d")));
}

TEST_CASE("layers refuse extents past 2^31 of an empty batch", "[messages]") {
  const Variable none(Tensor({0, INT64_MAX, 4, 4, 2}));
  MaxPool3d pool({.kernel_size = 3, .stride = 2, .padding = "SAME"});
  CHECK_THAT(message_of([&] { pool(none); }), Contains("[MaxPool3d] input: got spatial extents (9223372036854775807"));
  Conv3d conv({.in_size = {dynamic, dynamic, dynamic, 2}, .out_channels = 2, .kernel_size = 3, .stride = 2});
  CHECK_THAT(message_of([&] { conv(none); }), Contains("[Conv3d] in_size: got (9223372036854775807, 4, 4)"));
  CHECK_THAT(message_of([&] { Upsample({.mode = "trilinear"})(none); }), Contains("[upsample_trilinear3d] size: got"));
}
