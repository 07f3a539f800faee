// The model zoo: published parameter counts, shapes, a step on a tiny volume, and loading from a checkpoint without the
// zoo.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "support/checkpoint_run.hpp"
#include "support/conv_config.hpp"
#include "support/golden.hpp"
#include "support/layer_cases.hpp"
#include "support/message_of.hpp"
#include "support/temp_dir.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/ops/ops.hpp"
#include "voxgrad/layers/zoo/zoo.hpp"

using namespace vg;
using namespace vg::test;
using Catch::Contains;
using nlohmann::json;
using vg::test::message_of;

namespace {

const Initializer zeros = init::ZeroInit();

// Trains one step, and makes the net again from its description with the same bits.
void check_net(Sequential net, const Shape& input, const Shape& output) {
  INFO(net.description().children.size() << " modules, input " << input.str());
  const Variable x(random::normal(random::key_of(3), input), true);
  net.train();
  const Variable y = net(x);
  CHECK(y.shape() == output);
  CHECK(net.out_size() == Size(output.begin() + 1, output.end()));
  mean(square(y)).backward();
  CHECK(x.grad().shape() == input);
  for (const auto& [path, state] : net.parameters())
    for (const std::string& leaf : state.leaves()) {
      INFO(path << "." << leaf);
      REQUIRE(state[leaf].grad().defined());
      CHECK(state[leaf].grad().shape() == state[leaf].shape());
    }
  net.eval();
  const vg::test::TempDir folder;
  save(net, folder / "net.json", {.encoding = Encoding::base64});
  const auto back = load_model(folder / "net.json");
  CHECK(vg::test::bits(*back) == vg::test::bits(net));
  const NoGradGuard quiet;
  CHECK(vg::test::bytes_of((*back)(x).value()) == vg::test::bytes_of(net(x).value()));
}

Sequential net_of(const json& record) {
  const json& c = record.at("config");
  const Size in_size = golden::ints(c.at("in_size"));
  const std::string net = record.at("layer");
  const auto list = [&](const char* name) { return golden::ints(c.at(name)); };
  if (net == "UNet3d")
    return zoo::UNet3d({.in_size = in_size, .out_channels = c.at("out_channels"), .features = list("features")});
  if (net == "ResNet3d")
    return zoo::ResNet3d(
        {.in_size = in_size, .classes = c.at("classes"), .blocks = list("blocks"), .widths = list("widths")});
  if (net == "R2Plus1D18")
    return zoo::R2Plus1D18(
        {.in_size = in_size, .classes = c.at("classes"), .blocks = list("blocks"), .widths = list("widths")});
  if (net == "SegResNet")
    return zoo::SegResNet({.in_size = in_size,
                           .out_channels = c.at("out_channels"),
                           .init_filters = c.at("init_filters"),
                           .blocks_down = list("blocks_down"),
                           .blocks_up = list("blocks_up"),
                           .num_groups = c.at("num_groups")});
  REQUIRE(net == "MedNeXtS");
  return zoo::MedNeXtS({.in_size = in_size,
                        .out_channels = c.at("out_channels"),
                        .init_filters = c.at("init_filters"),
                        .blocks = list("blocks")});
}

}  // namespace

TEST_CASE("zoo: the nets compute what MONAI's and PyTorch's compute", "[zoo]") {
  int replayed = 0;
  for (const auto& file : golden::files_in(golden::path_of("zoo"))) {
    const json record = golden::read(file);
    INFO(record.at("name"));
    Sequential net = net_of(record);
    net.to(f64);
    net.train();
    States states = net.states();
    std::size_t leaves = 0;
    for (const auto& [path, state] : net.parameters()) leaves += state.size();
    REQUIRE(leaves == record.at("states").size());
    for (const auto& [name, value] : record.at("states").items()) {
      const auto [path, leaf] = golden::leaf_of(name);
      State(states.at(path)).set(leaf, golden::tensor(value, f64));
    }
    const Variable x(golden::tensor(record.at("inputs").at("x"), f64), true);
    const Variable y = net(x);
    y.backward(golden::tensor(record.at("grad_output"), f64));
    CHECK(golden::error(y.value(), golden::tensor(record.at("output"), f64)) < 1e-11);
    for (const auto& [name, value] : record.at("grads").items()) {
      INFO(name);
      const auto [path, leaf] = golden::leaf_of(name);
      const Variable grad = name == "x" ? x.grad() : states.at(path)[leaf].grad();
      REQUIRE(grad.defined());
      CHECK(golden::error(grad.value(), golden::tensor(value, f64)) < 1e-10);
    }
    ++replayed;
  }
  CHECK(replayed == 5);
}

TEST_CASE("zoo: parameter counts are the published ones", "[zoo][large]") {
  const Size video{dynamic, dynamic, dynamic, 3}, volume{dynamic, dynamic, dynamic, 1};
  const auto count = [](Sequential net) { return net.parameters().numel(); };
  CHECK(count(zoo::ResNet3d18({.in_size = video, .classes = 400, .w_init = zeros})) == 33371472);
  CHECK(count(zoo::ResNet3d10({.in_size = video, .classes = 400, .w_init = zeros})) == 14566992);
  CHECK(count(zoo::R2Plus1D18({.in_size = video, .classes = 400, .w_init = zeros})) == 31505325);
  CHECK(count(zoo::VoxNet({.w_init = zeros})) == 921736);
  CHECK(count(zoo::C3D({.classes = 101, .w_init = zeros})) == 78409573);
  CHECK(count(zoo::C3D({.w_init = zeros})) == 79991015);
  CHECK(count(zoo::UNet3d({.in_size = volume, .out_channels = 2, .w_init = zeros})) == 31194050);
  CHECK(count(zoo::SegResNet({.in_size = volume, .out_channels = 2, .w_init = zeros})) == 1176186);
  CHECK(count(zoo::SegResNet(
            {.in_size = {dynamic, dynamic, dynamic, 4}, .out_channels = 3, .init_filters = 16, .w_init = zeros})) ==
        4702227);
  CHECK(count(zoo::MedNeXtS({.in_size = volume, .out_channels = 2, .w_init = zeros})) == 5550914);
}

TEST_CASE("zoo: each net trains on a tiny volume and comes back from a checkpoint", "[zoo]") {
  check_net(zoo::UNet3d({.in_size = {8, 8, 4, 1}, .out_channels = 3, .features = {2, 4, 4}}), {2, 8, 8, 4, 1},
            {2, 8, 8, 4, 3});
  check_net(zoo::ResNet3d10({.in_size = {4, 16, 16, 2}, .classes = 3, .widths = {2, 3, 4}}), {2, 4, 16, 16, 2}, {2, 3});
  check_net(zoo::ResNet3d18({.in_size = {4, 8, 8, 1}, .classes = 3, .blocks = {2, 2}, .widths = {2, 3}}),
            {2, 4, 8, 8, 1}, {2, 3});
  check_net(zoo::VoxNet({.in_size = {15, 15, 16, 1}, .classes = 5}), {2, 15, 15, 16, 1}, {2, 5});
  check_net(zoo::C3D({.in_size = {16, 32, 32, 3}, .classes = 4, .width = 2, .features = 6}), {1, 16, 32, 32, 3},
            {1, 4});
  check_net(zoo::R2Plus1D18({.in_size = {4, 8, 8, 3}, .classes = 3, .blocks = {2, 1}, .widths = {3, 4}}),
            {2, 4, 8, 8, 3}, {2, 3});
  check_net(zoo::SegResNet({.in_size = {8, 4, 8, 2}, .out_channels = 3, .blocks_down = {1, 2, 1}, .blocks_up = {1, 1}}),
            {1, 8, 4, 8, 2}, {1, 8, 4, 8, 3});
  check_net(zoo::MedNeXtS({.in_size = {8, 8, 4, 1}, .out_channels = 3, .init_filters = 2, .blocks = {1, 2, 1}}),
            {2, 8, 8, 4, 1}, {2, 8, 8, 4, 3});
}

TEST_CASE("zoo: volumes of other extents, and one sample without a batch axis", "[zoo]") {
  const NoGradGuard quiet;
  Sequential net = zoo::UNet3d({.in_size = {dynamic, dynamic, dynamic, 1}, .out_channels = 2, .features = {2, 2}});
  CHECK(net(Variable(Tensor::ones({1, 4, 6, 10, 1}))).shape() == Shape{1, 4, 6, 10, 2});
  CHECK(net(Variable(Tensor::ones({8, 6, 2, 1}))).shape() == Shape{8, 6, 2, 2});
  CHECK(zoo::C3D({.width = 1, .features = 1, .w_init = zeros}).out_size() == Size{487});
}

TEST_CASE("zoo: the nets say what is wrong with their options", "[zoo]") {
  CHECK_THAT(message_of([] {
               zoo::UNet3d({.in_size = {8, 8, 6, 1}, .out_channels = 2, .features = {2, 2, 2}});
             }),
             Contains("[UNet3d] in_size: got (8, 8, 6, 1); the spatial extents must be divisible by 4"));
  CHECK_THAT(message_of([] { zoo::UNet3d({.out_channels = 2}); }), Contains("[UNet3d] in_size"));
  CHECK_THAT(message_of([] {
               zoo::UNet3d({.in_size = {8, 8, 8, 1}, .out_channels = 2, .features = {}});
             }),
             Contains("[UNet3d] features: got (); must be 1 to 16 numbers of at least 1"));
  CHECK_THAT(message_of([] {
               zoo::UNet3d({.in_size = {8, 8, 8, 1}, .features = {2, 2}});
             }),
             Contains("[Conv3d] out_channels: got 0"));
  CHECK_THAT(message_of([] {
               zoo::ResNet3d18({.in_size = {8, 8, 8, 1}, .classes = 2, .widths = {2, 2}});
             }),
             Contains("[ResNet3d] blocks, widths: got 4 and 2 entries"));
  CHECK_THAT(message_of([] {
               zoo::R2Plus1D18({.in_size = {8, 8, 8, 1}, .classes = 2, .widths = {2, 0}});
             }),
             Contains("[R2Plus1D18] widths: got (2, 0)"));
  CHECK_THAT(message_of([] {
               zoo::SegResNet({.in_size = {8, 8, 8, 1}, .out_channels = 2, .blocks_up = {1}});
             }),
             Contains("[SegResNet] blocks_up: got 1 entries; must be 3"));
  CHECK_THAT(message_of([] {
               zoo::MedNeXtS({.in_size = {16, 16, 16, 1}, .out_channels = 2, .kernel_size = 4});
             }),
             Contains("[MedNeXtS] kernel_size: got 4; must be odd"));
  CHECK_THAT(message_of([] { zoo::VoxNet({.in_size = {8, 8, 8, 1}}); }), Contains("output: would be empty"));
  CHECK_THAT(message_of([] { zoo::C3D({.classes = 0, .width = 1, .features = 1}); }),
             Contains("[Linear] out_features"));
}
