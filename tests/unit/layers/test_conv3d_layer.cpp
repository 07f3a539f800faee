// The layer Conv3d: the arguments of brainstate.nn.Conv3d, its shapes, numbers and errors.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "support/conv_config.hpp"
#include "support/golden.hpp"
#include "support/message_of.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/ops/ops.hpp"
#include "voxgrad/layers/layers.hpp"

using namespace vg;
using namespace vg::test;
using Catch::Contains;
using nlohmann::json;
using vg::test::message_of;

namespace {

Variable ones(const Shape& shape, DType dtype = f32) { return Tensor::ones(shape, dtype); }

}  // namespace

TEST_CASE("Conv3d: ten lines of a user") {
  auto conv = vg::Conv3d({.in_size = {32, 32, 32, 1},
                          .out_channels = 64,
                          .kernel_size = 3,
                          .stride = 2,
                          .padding = "VALID",
                          .b_init = vg::init::Constant(0.1)});
  auto x = vg::Variable(vg::Tensor::ones({2, 32, 32, 32, 1}));
  auto y = conv(x);
  CHECK(y.shape() == Shape{2, 15, 15, 15, 64});
  CHECK(conv(vg::Tensor::ones({32, 32, 32, 1})).shape() == Shape{15, 15, 15, 64});
  CHECK(conv.weight["weight"].shape() == Shape{3, 3, 3, 1, 64});
  CHECK(conv.weight["bias"].shape() == Shape{1, 1, 1, 64});
  CHECK(conv.out_size() == Size{15, 15, 15, 64});
  CHECK(conv.in_size() == Size{32, 32, 32, 1});
  sum(y).backward();
  CHECK(conv.weight["bias"].grad().value().value_at(0) == 2 * 15 * 15 * 15);
  CHECK(conv.parameters().size() == 1);
  CHECK(conv.parameters().numel() == 27 * 64 + 64);
}

TEST_CASE("Conv3d: every way to write sizes and paddings") {
  const auto out = [](Conv3dOptions o) {
    o.in_size = {8, 8, 8, 4};
    o.out_channels = 6;
    return Conv3d(std::move(o)).out_size();
  };
  CHECK(out({.kernel_size = 3}) == Size{8, 8, 8, 6});
  CHECK(out({.kernel_size = {3}}) == Size{8, 8, 8, 6});
  CHECK(out({.kernel_size = {1, 2, 3}, .padding = "VALID"}) == Size{8, 7, 6, 6});
  CHECK(out({.kernel_size = Triple{1, 2, 3}, .padding = std::string("VALID")}) == Size{8, 7, 6, 6});
  CHECK(out({.kernel_size = std::vector<std::int64_t>{2}, .padding = 0}) == Size{7, 7, 7, 6});
  CHECK(out({.kernel_size = 3, .stride = {1, 2, 3}}) == Size{8, 4, 3, 6});
  CHECK(out({.kernel_size = 3, .padding = 2}) == Size{10, 10, 10, 6});
  CHECK(out({.kernel_size = 3, .padding = {0, 1, 2}}) == Size{6, 8, 10, 6});
  CHECK(out({.kernel_size = 3, .padding = {{1, 2}}}) == Size{9, 9, 9, 6});
  CHECK(out({.kernel_size = 3, .padding = {{0, 0}, {1, 2}, {-1, 0}}}) == Size{6, 9, 5, 6});
  CHECK(out({.kernel_size = 3, .padding = 1, .lhs_dilation = 2}) == Size{15, 15, 15, 6});
  CHECK(out({.kernel_size = 3, .padding = "VALID", .rhs_dilation = {1, 2, 3}}) == Size{6, 4, 2, 6});
  CHECK(out({.kernel_size = 3, .groups = 2}) == Size{8, 8, 8, 6});
}

TEST_CASE("Conv3d: bad arguments are errors that say what is wrong, legal ones are as in brainstate") {
  const json file = golden::read(golden::path_of("bad_arguments.json"));
  for (const json& c : file.at("cases")) {
    INFO(c.dump());
    REQUIRE(c.at("layer") == "Conv3d");
    const bool had_error = !c.at("error").is_null();
    const auto run = [&] {
      Conv3d conv(golden::conv3d_options(c.at("config")));
      if (!c.at("input_shape").is_null()) {
        const Variable y = conv(ones(Shape(golden::ints(c.at("input_shape")))));
        CHECK(y.shape().vec().back() == 6);
      }
      return conv.out_size();
    };
    const json& config = c.at("config");
    // brainstate accepts these invalid arguments, and voxgrad does not.
    const bool stricter = config.at("kernel_size") == 0 || config.value("stride", json(1)) == 0 ||
                          config.value("stride", json(1)) == -1 || config.at("out_channels") == 0 ||
                          config.at("in_size")[0] == 0 || config.at("kernel_size") == 9;
    random::seed(7);
    if (!had_error && !stricter) {
      CHECK(run() == c.at("out_size").get<Size>());
      continue;
    }
    const random::Key before = random::default_generator().key();
    std::string message;
    if (c.at("error") == "TypeError" && config.value("rhs_dilation", json(1)) != 0)
      message = message_of<TypeError>(run);
    else
      message = message_of<ValueError>(run);
    CHECK_THAT(message, Contains("[Conv3d]") && Contains("got"));
    if (c.at("input_shape").is_null()) CHECK(random::default_generator().key() == before);  // nothing was drawn
  }
}

TEST_CASE("Conv3d: errors name the argument, the value and the allowed values") {
  const auto message = [](Conv3dOptions o) {
    if (o.in_size.empty()) o.in_size = {8, 8, 8, 4};
    if (!o.kernel_size.given()) o.kernel_size = 3;
    if (o.out_channels == 0) o.out_channels = 6;
    return message_of<std::invalid_argument>([&] { Conv3d conv(o); });
  };
  CHECK(message({.kernel_size = {3, 0, 3}}) ==
        "[Conv3d] kernel_size: got (3, 0, 3); every entry must be at least 1 (and below 2^31)");
  CHECK_THAT(message({.kernel_size = {3, 3}}), Contains("kernel_size: got 2 entries (3, 3)"));
  CHECK_THAT(message({.stride = {0, 1, 1}}), Contains("[Conv3d] stride: got (0, 1, 1)"));
  CHECK_THAT(message({.rhs_dilation = -2}), Contains("rhs_dilation: got (-2)"));
  CHECK_THAT(message({.lhs_dilation = INT64_MAX}), Contains("lhs_dilation"));
  CHECK_THAT(message({.out_channels = -3}), Contains("out_channels: got -3"));
  CHECK_THAT(message({.groups = 0}), Contains("groups: got 0"));
  CHECK_THAT(message({.groups = 3}), Contains("in_channels: got 4; must be divisible by groups = 3"));
  CHECK_THAT(message({.padding = "same"}), Contains("padding: got \"same\""));
  CHECK_THAT(message({.padding = {}}), Contains("padding: got 0 pairs"));
  CHECK_THAT(message({.padding = {1, 2}}), Contains("padding: got 2 ints"));
  CHECK_THAT(message({.padding = INT64_MIN}), Contains("padding: got"));
  CHECK_THAT(message({.padding = "SAME", .lhs_dilation = 2}),
             Contains("padding: got \"SAME\" with lhs_dilation = (2, 2, 2)"));
  CHECK_THAT(message({.kernel_size = 9, .padding = "VALID"}), Contains("output: would be empty"));
  CHECK_THAT(message({.in_size = {8, 8, -2, 4}}), Contains("in_size: got (8, 8, -2, 4)"));
  CHECK_THAT(message({.in_size = {8, 8, 8, dynamic}}), Contains("the channels must be fixed"));
  CHECK_THAT(message({.in_size = {8, 8, 4}}),
             Contains("in_size: got (8, 8, 4) with 3 entries; must have 4: (H, W, D, C)"));
  CHECK_THAT(message({.w_init = std::nullopt}), Contains("w_init: got None"));
  CHECK_THAT(message({.w_init = Tensor::ones({3, 3, 3, 4, 1})}),
             Contains("w_init: got shape (3, 3, 3, 4, 1); must be (3, 3, 3, 4, 6)"));
  CHECK_THAT(message({.w_init = Tensor::ones({3, 3, 3, 4, 6}, i32)}), Contains("w_init: got i32"));
  CHECK_THAT(message({.b_init = Tensor::ones({5})}),
             Contains("b_init: got shape (5,); must broadcast to (1, 1, 1, 6)"));
  CHECK_THAT(message({.w_mask = Tensor::ones({3, 3, 3, 4, 6, 1})}), Contains("w_mask: got shape"));
  CHECK_THAT(message({.kernel_size = 0, .name = "encoder"}), Contains("[Conv3d encoder] kernel_size"));
  CHECK_THAT(message({.out_channels = INT64_MAX / 2}), Contains("2^63"));
  CHECK_THAT(message_of<TypeError>([] {
               Conv3d({.in_size = {8, 8, 8, 4}, .out_channels = 6});
             }),
             Contains("kernel_size: got 0 entries"));
  CHECK_THAT(message_of([] { Conv3d({.in_size = {8, 8, 8, 4}, .kernel_size = 3}); }), Contains("out_channels: got 0"));

  Conv3d conv({.in_size = {8, 8, 8, 4}, .out_channels = 6, .kernel_size = 3});
  CHECK(message_of([&] {
          conv(ones({2, 8, 8, 7, 4}));
        }) == "[Conv3d] input: got (2, 8, 8, 7, 4); must be (8, 8, 8, 4), or (B, 8, 8, 8, 4)");
  CHECK_THROWS_AS(conv(ones({2, 8, 8, 8, 4}, f64)), TypeError);
  CHECK_THROWS_AS(conv(ones({2, 8, 8, 8, 4}, i32)), TypeError);
  CHECK_THROWS_AS(conv(Variable()), ValueError);
}

TEST_CASE("Conv3d: an empty batch, and one sample") {
  Conv3d conv({.in_size = {4, 4, 4, 2}, .out_channels = 3, .kernel_size = 3, .b_init = init::Constant(1)});
  const Variable y = conv(ones({0, 4, 4, 4, 2}));
  CHECK(y.shape() == Shape{0, 4, 4, 4, 3});
  sum(y).backward();
  for (double g : conv.weight["weight"].grad().value().values()) CHECK(g == 0);
  const Variable x = random::normal(random::key_of(1), {1, 4, 4, 4, 2});
  CHECK(golden::error(reshape(conv(x), {4, 4, 4, 3}).value(), conv(reshape(x, {4, 4, 4, 2})).value()) == 0);
}

TEST_CASE("Conv3d: arrays as initial values, masks and biases that broadcast, dtypes") {
  const Tensor w = random::normal(random::key_of(1), {3, 3, 3, 2, 4}, 0, 1, f64),
               x = random::normal(random::key_of(2), {1, 5, 5, 5, 2}, 0, 1, f64);
  const Tensor mask = Tensor::of<std::int32_t>({4}, {1, 0, 1, 0});
  Conv3d conv({.in_size = {5, 5, 5, 2},
               .out_channels = 4,
               .kernel_size = 3,
               .w_init = w,
               .b_init = init::Constant(0.5),
               .w_mask = mask});
  CHECK(conv.weight["weight"].dtype() == f64);
  CHECK(conv.weight["bias"].dtype() == f64);
  const Variable y = conv(x);
  for (std::int64_t i = 1; i < y.numel(); i += 2) CHECK(y.value().value_at(i) == 0.5);
  sum(y).backward();
  const Tensor g = conv.weight["weight"].grad().value();
  for (std::int64_t i = 0; i < g.numel(); ++i) CHECK((g.value_at(i) == 0) == (i % 2 == 1));

  // A write to the layer's value does not change the user's array.
  conv.weight.writable("weight").data<double>()[0] = 99;
  CHECK(w.value_at(0) != 99);
  conv.to(f32);
  CHECK(conv(Tensor(x).to(f32)).dtype() == f32);
  CHECK_THROWS_AS(conv(x), TypeError);

  Conv3d shared({.in_size = {5, 5, 5, 2}, .out_channels = 4, .kernel_size = 3, .b_init = Tensor::ones({1})});
  sum(shared(ones({2, 5, 5, 5, 2}))).backward();
  CHECK(shared.weight["bias"].grad().value().item() == 2 * 125 * 4);
}

TEST_CASE("Conv3d: channels first is the same convolution") {
  const Tensor w = random::normal(random::key_of(1), {3, 2, 3, 2, 4}), b = random::normal(random::key_of(2), {4});
  Conv3d last({.in_size = {5, 6, 7, 2},
               .out_channels = 4,
               .kernel_size = {3, 2, 3},
               .stride = 2,
               .w_init = w,
               .b_init = b.reshape({1, 1, 1, 4})});
  Conv3d first({.in_size = {2, 5, 6, 7},
                .out_channels = 4,
                .kernel_size = {3, 2, 3},
                .stride = 2,
                .w_init = w,
                .b_init = b.reshape({1, 4, 1, 1, 1}),
                .channel_first = true});
  CHECK(first.out_size() == Size{4, 3, 3, 4});
  const Variable x = random::normal(random::key_of(3), {2, 2, 5, 6, 7});
  CHECK(golden::error(transpose(first(x), {0, 2, 3, 4, 1}).value(), last(transpose(x, {0, 2, 3, 4, 1})).value()) == 0);
  CHECK(first(slice(x, 0, {0, 1})).shape() == Shape{1, 4, 3, 3, 4});
  CHECK_THROWS_AS(Conv3d({.in_size = {dynamic, 5, 6, 7}, .out_channels = 4, .kernel_size = 3, .channel_first = true}),
                  ValueError);
}

TEST_CASE("Conv3d: extents that are not fixed") {
  Conv3d conv({.in_size = {dynamic, 8, dynamic, 2}, .out_channels = 3, .kernel_size = 3, .stride = 2});
  CHECK(conv.out_size() == Size{dynamic, 4, dynamic, 3});
  CHECK(conv(ones({5, 8, 9, 2})).shape() == Shape{3, 4, 5, 3});
  CHECK(conv(ones({2, 12, 8, 1, 2})).shape() == Shape{2, 6, 4, 1, 3});
  CHECK_THROWS_AS(conv(ones({5, 7, 9, 2})), ValueError);
  Conv3d valid({.in_size = {dynamic, dynamic, dynamic, 1}, .out_channels = 1, .kernel_size = 3, .padding = "VALID"});
  CHECK(valid.out_size() == Size{dynamic, dynamic, dynamic, 1});
  CHECK_THAT(message_of([&] { valid(ones({2, 3, 3, 1})); }), Contains("output: would be empty"));
  // A layer with fixed extents computes the same.
  Conv3d fixed({.in_size = {5, 6, 7, 1},
                .out_channels = 1,
                .kernel_size = 3,
                .padding = "VALID",
                .w_init = valid.weight["weight"].value()});
  const Variable x = random::normal(random::key_of(3), {2, 5, 6, 7, 1});
  CHECK(golden::error(valid(x).value(), fixed(x).value()) == 0);
}

TEST_CASE("Conv3d: constructed first, built later") {
  Conv3d conv({.out_channels = 3, .kernel_size = 3});
  CHECK(conv.in_size().empty());
  CHECK_THAT(message_of([&] {
               conv(ones({4, 4, 4, 2}));
             }),
             Contains("[Conv3d] in_size: not given") && Contains("build(in_size)"));
  CHECK_THROWS_AS(conv.build({4, 4, 4}), ValueError);
  CHECK(conv.weight.size() == 0);
  conv.build({4, 4, 4, 2});
  CHECK(conv.weight["weight"].shape() == Shape{3, 3, 3, 2, 3});
  const Variable w = conv.weight["weight"];
  conv.build({4, 4, dynamic, 2});  // fits, and changes nothing
  CHECK(conv.weight["weight"].is(w));
  CHECK_THROWS_AS(conv.build({4, 4, 5, 2}), ValueError);
}

TEST_CASE("Conv3d: options by name") {
  Conv3d conv({.in_size = {8, 8, 8, 4},
               .out_channels = 6,
               .kernel_size = 3,
               .padding = {{0, 1}},
               .groups = 2,
               .b_init = init::Constant(0.1),
               .name = "stem"});
  const Attributes options = conv.options();
  std::vector<std::string> names;
  for (const auto& [name, value] : options) names.push_back(name);
  CHECK(names == std::vector<std::string>{"in_size", "out_channels", "kernel_size", "stride", "padding", "lhs_dilation",
                                          "rhs_dilation", "groups", "w_init", "b_init", "w_mask", "channel_first",
                                          "name"});
  CHECK(std::get<std::vector<std::int64_t>>(options[2].second) == std::vector<std::int64_t>{3, 3, 3});
  CHECK(std::get<std::vector<std::int64_t>>(options[4].second) == std::vector<std::int64_t>{0, 1, 0, 1, 0, 1});
  CHECK(std::get<std::string>(options[9].second) == "Constant(0.1)");
  CHECK(conv.name() == "stem");
}

TEST_CASE("ConvTranspose3d: sizes, groups, errors") {
  const auto out = [](ConvTranspose3dOptions o) {
    o.in_size = {4, 4, 4, 6};
    o.out_channels = 6;
    return ConvTranspose3d(std::move(o)).out_size();
  };
  CHECK(out({.kernel_size = 3, .stride = 2}) == Size{8, 8, 8, 6});
  CHECK(out({.kernel_size = 2, .stride = 3, .padding = "VALID"}) == Size{12, 12, 12, 6});
  CHECK(out({.kernel_size = 5, .stride = 2, .padding = "VALID"}) == Size{11, 11, 11, 6});
  CHECK(out({.kernel_size = 3, .stride = 2, .padding = 1}) == Size{7, 7, 7, 6});
  ConvTranspose3d grouped({.in_size = {4, 4, 4, 6}, .out_channels = 4, .kernel_size = 3, .stride = 2, .groups = 2});
  CHECK(grouped.weight["weight"].shape() == Shape{3, 3, 3, 4, 3});
  CHECK(grouped(ones({2, 4, 4, 4, 6})).shape() == Shape{2, 8, 8, 8, 4});
  ConvTranspose3d open({.in_size = {dynamic, dynamic, dynamic, 6}, .out_channels = 4, .kernel_size = 3, .stride = 2});
  CHECK(open.out_size() == Size{dynamic, dynamic, dynamic, 4});
  CHECK(open(ones({3, 4, 5, 6})).shape() == Shape{6, 8, 10, 4});
  CHECK_THROWS_AS(out({.kernel_size = 3, .padding = -9}), ValueError);
  CHECK_THROWS_AS(out({.kernel_size = {1, 2}}), TypeError);
}
