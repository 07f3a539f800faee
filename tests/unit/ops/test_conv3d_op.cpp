// The convolution ops: comparison with plain loops and with brainstate's transposed convolutions, bilinearity, and
// errors.
#include <catch2/catch.hpp>
#include <cmath>
#include <nlohmann/json.hpp>

#include "support/golden.hpp"
#include "support/kernels/naive_conv3d.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/random.hpp"
#include "voxgrad/framework/ops/conv3d.hpp"
#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/framework/ops/reduce.hpp"
#include "voxgrad/framework/ops/shape_ops.hpp"

using namespace vg;
using namespace vg::test;
using Catch::Matchers::Contains;
using nlohmann::json;
using Pads = std::array<std::pair<std::int64_t, std::int64_t>, 3>;

namespace {

// Small integers: every product and sum is exact in both dtypes, so results must be equal.
Tensor integers(random::Generator& g, const Shape& shape, DType dtype = f64) {
  return random::randint(g.next(), shape, -3, 4).to(dtype);
}

Triple triple(const Shape& s, int first) { return {s.at(first), s.at(first + 1), s.at(first + 2)}; }

kernels::Conv3dProblem problem(const Shape& x, const Shape& w, const Shape& y, const Conv3dArgs& args) {
  kernels::Conv3dProblem p{};
  p.batch = x[0];
  p.in_channels = x[4];
  p.out_channels = w[4];
  p.groups = args.groups;
  for (std::size_t i = 0; i < 3; ++i) {
    p.in_size[i] = x[i + 1];
    p.out_size[i] = y[i + 1];
    p.kernel_size[i] = w[i];
    p.stride[i] = args.stride[i];
    p.pad[i] = args.padding[i].first;
    p.lhs_dilation[i] = args.lhs_dilation[i];
    p.rhs_dilation[i] = args.rhs_dilation[i];
  }
  return p;
}

double dot(const Tensor& a, const Tensor& b) {
  double total = 0;
  for (std::int64_t i = 0; i < a.numel(); ++i) total += a.value_at(i) * b.value_at(i);
  return total;
}

// ConvTranspose3d by its definition: dilate, pad, flip, and convolve with stride 1, one group at a time.
Tensor plain_transpose(const Tensor& x, const Tensor& w, const ConvTranspose3dArgs& a) {
  const std::int64_t c = x.dim(4) / a.groups, o = w.dim(3) / a.groups;
  std::vector<Variable> parts;
  for (std::int64_t g = 0; g < a.groups; ++g) {
    const Variable xg = slice(Variable(x), 4, {g * c, (g + 1) * c, 1}),
                   wg = slice(Variable(w), 3, {g * o, (g + 1) * o, 1});
    const Variable kernel = transpose(flip(wg, {0, 1, 2}), {0, 1, 2, 4, 3});
    parts.push_back(
        conv3d(xg, kernel,
               {.stride = {1, 1, 1}, .padding = a.padding, .lhs_dilation = a.stride, .rhs_dilation = a.rhs_dilation}));
  }
  return concat(parts, 4).value();
}

std::vector<std::int64_t> three(const json& config, const std::string& key, std::int64_t fallback) {
  if (!config.contains(key)) return {fallback, fallback, fallback};
  std::vector<std::int64_t> v = golden::ints(config.at(key));
  return v.size() == 3 ? v : std::vector<std::int64_t>(3, v.at(0));
}

// The padding of brainstate's transposed convolution.
Pads transpose_padding(const json& config, const std::vector<std::int64_t>& k, const std::vector<std::int64_t>& s) {
  Pads pads;
  const json padding = config.contains("padding") ? config.at("padding") : json("SAME");
  for (std::size_t i = 0; i < 3; ++i) {
    if (padding == "SAME" || padding == "VALID") {
      const std::int64_t all = k[i] + s[i] - 2 + (padding == "VALID" ? std::max<std::int64_t>(0, k[i] - s[i]) : 0);
      const std::int64_t lo = padding == "VALID" || s[i] > k[i] - 1 ? k[i] - 1 : (all + 1) / 2;
      pads[i] = {lo, all - lo};
    } else if (padding.is_number()) {
      pads[i] = {padding.get<std::int64_t>(), padding.get<std::int64_t>()};
    } else {
      pads[i] = {padding.at(i).at(0).get<std::int64_t>(), padding.at(i).at(1).get<std::int64_t>()};
    }
  }
  return pads;
}

Tensor batched(const Tensor& t) {
  std::vector<std::int64_t> shape = t.shape().vec();
  if (shape.size() == 4) shape.insert(shape.begin(), 1);
  return t.reshape(shape);
}

}  // namespace

TEST_CASE("conv3d_out_size follows the formula and never goes below 0", "[conv3d]") {
  CHECK(conv3d_out_size({5, 6, 7}, {3, 3, 3}, {}) == Triple{3, 4, 5});
  CHECK(conv3d_out_size({5, 6, 7}, {3, 3, 3}, {.stride = {2, 2, 2}, .padding = {{{1, 1}, {0, 1}, {1, 0}}}}) ==
        Triple{3, 3, 3});
  CHECK(conv3d_out_size({3, 1, 0}, {2, 2, 2}, {.padding = {{{1, 1}, {1, 1}, {1, 1}}}, .lhs_dilation = {3, 3, 3}}) ==
        Triple{8, 2, 1});
  CHECK(conv3d_out_size({5, 5, 5}, {3, 3, 3}, {.rhs_dilation = {2, 1, 3}}) == Triple{1, 3, 0});
  CHECK(conv3d_out_size({2, 2, 2}, {3, 4, 9}, {.stride = {3, 3, 3}}) == Triple{0, 0, 0});
  CHECK(conv3d_out_size({6, 6, 6}, {1, 1, 1}, {.padding = {{{-1, 0}, {-2, -3}, {-6, 2}}}}) == Triple{5, 1, 2});
}

TEST_CASE("the three passes equal plain loops, for any arguments", "[conv3d]") {
  random::Generator g(11);
  const auto pick = [&g](std::int64_t low, std::int64_t high) {
    return static_cast<std::int64_t>(random::randint(g.next(), {1}, low, high + 1).item());
  };
  int tried = 0;
  for (int round = 0; round < 120; ++round) {
    Conv3dArgs a;
    a.groups = pick(1, 3);
    Shape x{pick(0, 2), pick(1, 5), pick(1, 5), pick(1, 5), a.groups * pick(1, 3)};
    Shape w{pick(1, 3), pick(1, 3), pick(1, 3), x[4] / a.groups, a.groups * pick(1, 3)};
    for (std::size_t i = 0; i < 3; ++i) {
      a.stride[i] = pick(1, 3);
      a.lhs_dilation[i] = pick(1, 2);
      a.rhs_dilation[i] = pick(1, 2);
      a.padding[i] = {pick(-1, 3), pick(-1, 3)};
      if (x[i + 1] == 1 && a.padding[i].first + a.padding[i].second < -1) a.padding[i].second = 0;  // only one to crop
    }
    const DType dtype = round % 2 ? f32 : f64;
    const Variable xv(integers(g, x, dtype), true), wv(integers(g, w, dtype), true);
    const Variable y = conv3d(xv, wv, a);
    CHECK(triple(y.shape(), 1) == conv3d_out_size(triple(x, 1), triple(w, 0), a));
    const Tensor dy = integers(g, y.shape(), dtype);
    y.backward(Variable(dy));
    const auto want =
        vg::test::naive_conv3d(problem(x, w, y.shape(), a), xv.value().values(), wv.value().values(), dy.values());
    INFO("x " << x.str() << " w " << w.str() << " y " << y.shape().str() << " groups " << a.groups);
    CHECK(y.value().values() == want.y);
    CHECK(xv.grad().value().values() == want.dx);
    CHECK(wv.grad().value().values() == want.dw);
    CHECK(conv3d_grad_input(Variable(dy), wv, triple(x, 1), a).value().values() == want.dx);
    CHECK(conv3d_grad_weight(xv, Variable(dy), triple(w, 0), a).value().values() == want.dw);
    ++tried;
  }
  CHECK(tried == 120);
}

TEST_CASE("outputs without elements are legal, and the weight's gradient is then zero", "[conv3d]") {
  const Variable w(Tensor::ones({3, 3, 3, 2, 4}), true);
  for (const Shape& x : {Shape{0, 5, 5, 5, 2}, Shape{2, 2, 5, 5, 2}}) {
    w.backward(Variable(Tensor::zeros(w.shape())));
    const Variable y = conv3d(Variable(Tensor::ones(x)), w);
    CHECK(y.numel() == 0);
    CHECK(gradients(y, {w}, Variable(Tensor(y.shape())))[0].value().values() == std::vector<double>(216, 0.0));
  }
}

TEST_CASE("each pass is bilinear, so second derivatives are passes again", "[conv3d]") {
  random::Generator g(5);
  const Conv3dArgs a{.stride = {2, 1, 1}, .padding = {{{1, 0}, {1, 1}, {0, 0}}}};
  const Variable x(integers(g, {1, 4, 3, 4, 2}), true), w(integers(g, {2, 3, 2, 2, 3}), true);
  const Variable y = conv3d(x, w, a);
  const Variable dy(integers(g, y.shape()), true);
  const auto first = gradients(y, {x, w}, dy, {.create_graph = true});
  const Variable u(integers(g, x.shape())), v(integers(g, w.shape()));
  // d<dx, u> = <dy, conv(u, w)> and d<dw, v> = <dy, conv(x, v)>.
  const auto by_u = gradients(first[0], {dy, w}, u, {.retain_graph = true});
  CHECK(by_u[0].value().values() == conv3d(u, w, a).value().values());
  CHECK(by_u[1].value().values() == conv3d_grad_weight(u, dy, {2, 3, 2}, a).value().values());
  const auto by_v = gradients(first[1], {dy, x}, v, {.retain_graph = true});
  CHECK(by_v[0].value().values() == conv3d(x, v, a).value().values());
  CHECK(by_v[1].value().values() == conv3d_grad_input(dy, v, {4, 3, 4}, a).value().values());
}

TEST_CASE("conv_transpose3d equals brainstate's", "[conv3d][golden]") {
  int compared = 0;
  for (const auto& file : golden::files_in(golden::path_of("conv"))) {
    if (file.filename().string().rfind("transpose_", 0) != 0) continue;
    const json record = golden::read(file), &config = record.at("config");
    if (config.value("channel_first", false)) continue;  // only the layer has this option
    const auto k = three(config, "kernel_size", 1), s = three(config, "stride", 1),
               r = three(config, "rhs_dilation", 1);
    std::vector<std::int64_t> reach;
    for (std::size_t i = 0; i < 3; ++i) reach.push_back((k[i] - 1) * r[i] + 1);
    const ConvTranspose3dArgs args{{s[0], s[1], s[2]}, transpose_padding(config, reach, s), {r[0], r[1], r[2]}, 1};
    const Tensor mask = golden::optional_tensor(record, "w_mask", f64),
                 bias = golden::optional_tensor(record, "bias", f64);
    const Variable x(batched(golden::tensor(record.at("x"), f64)), true),
        weight(golden::tensor(record.at("weight"), f64), true);
    Variable y = conv_transpose3d(x, mask.defined() ? weight * Variable(mask) : weight, args);
    if (bias.defined()) y = y + Variable(bias);
    INFO(file.filename().string());
    const auto close = [&](const Tensor& got, const std::string& key) {
      CHECK(golden::error(got, batched(golden::tensor(record.at(key), f64))) < 1e-12);
    };
    close(y.value(), "output");
    y.backward(Variable(batched(golden::tensor(record.at("grad_output"), f64))));
    close(x.grad().value(), "grad_x");
    CHECK(golden::error(weight.grad().value(), golden::tensor(record.at("grad_weight"), f64)) < 1e-12);
    ++compared;
  }
  CHECK(compared >= 10);
}

TEST_CASE("conv_transpose3d equals its definition, with groups too, and its gradient is the adjoint", "[conv3d]") {
  random::Generator g(3);
  const auto pick = [&g](std::int64_t low, std::int64_t high) {
    return static_cast<std::int64_t>(random::randint(g.next(), {1}, low, high + 1).item());
  };
  for (int round = 0; round < 60; ++round) {
    ConvTranspose3dArgs a;
    a.groups = pick(1, 3);
    for (std::size_t i = 0; i < 3; ++i) {
      a.stride[i] = pick(1, 3);
      a.rhs_dilation[i] = pick(1, 2);
      a.padding[i] = {pick(-1, 4), pick(-1, 4)};
    }
    const Shape x{pick(1, 2), pick(1, 3), pick(1, 3), pick(1, 3), a.groups * pick(1, 2)};
    const Shape w{pick(1, 3), pick(1, 3), pick(1, 3), a.groups * pick(1, 3), x[4] / a.groups};
    for (std::size_t i = 0; i < 3; ++i)  // there is only one element to crop
      if (x[i + 1] == 1 && a.padding[i].first + a.padding[i].second < -1) a.padding[i].second = 0;
    const Variable xv(integers(g, x), true), wv(integers(g, w), true);
    const Variable y = conv_transpose3d(xv, wv, a);
    INFO("x " << x.str() << " w " << w.str() << " groups " << a.groups);
    const Tensor want = plain_transpose(xv.value(), wv.value(), a);
    CHECK(y.shape() == want.shape());
    CHECK(y.value().values() == want.values());
    const Tensor dy = integers(g, y.shape());
    y.backward(Variable(dy));
    CHECK(dot(y.value(), dy) == dot(xv.value(), xv.grad().value()));
    CHECK(dot(y.value(), dy) == dot(wv.value(), wv.grad().value()));
  }
}

TEST_CASE("convolutions say what is wrong with their arguments", "[conv3d]") {
  const Variable x(Tensor::ones({1, 4, 4, 4, 4})), w(Tensor::ones({3, 3, 3, 4, 2}));
  const auto says = [&](const Conv3dArgs& a, const std::string& what) {
    CHECK_THROWS_WITH(conv3d(x, w, a), Contains(what));
  };
  says({.stride = {0, 1, 1}}, "[conv3d] stride: got (0, 1, 1); every entry must be in [1, ");
  says({.lhs_dilation = {1, -1, 1}}, "[conv3d] lhs_dilation: got (1, -1, 1)");
  says({.rhs_dilation = {1, 1, 0}}, "[conv3d] rhs_dilation: got (1, 1, 0)");
  says({.groups = 0}, "[conv3d] groups: got 0; must be at least 1");
  says({.groups = 4}, "[conv3d] out_channels: got 2; must be a positive multiple of groups (4)");
  says({.groups = 2}, "[conv3d] w: has 4 input channels per group; must be 2");
  says({.padding = {{{std::int64_t{1} << 40, 0}, {0, 0}, {0, 0}}}}, "[conv3d] padding: got (1099511627776, 0)");
  CHECK_THROWS_WITH(conv3d(Variable(Tensor::ones({4, 4, 4, 4})), w),
                    Contains("[conv3d] x: got shape (4, 4, 4, 4); must be of rank 5"));
  CHECK_THROWS_WITH(conv3d(x, Variable(Tensor::ones({3, 4, 2}))), Contains("[conv3d] w: got shape (3, 4, 2)"));
  CHECK_THROWS_WITH(conv3d(x, Variable(Tensor::ones({3, 0, 3, 4, 2}))),
                    Contains("[conv3d] kernel_size: got (3, 0, 3)"));
  CHECK_THROWS_WITH(conv3d(x, Variable(Tensor::ones({3, 3, 3, 4, 0}))), Contains("[conv3d] out_channels: got 0"));
  CHECK_THROWS_WITH(conv3d(x, Variable(Tensor::ones({3, 3, 3, 3, 2}))),
                    Contains("[conv3d] w: has 3 input channels per group; must be 4"));
  CHECK_THROWS_AS(conv3d(x, Variable(Tensor::ones(w.shape(), f64))), TypeError);
  CHECK_THROWS_WITH(conv3d(Variable(Tensor::ones(x.shape(), i32)), w),
                    Contains("[conv3d] x: got i32; must be f32 or f64"));

  const Variable dy(Tensor::ones({1, 2, 2, 2, 2}));
  CHECK_NOTHROW(conv3d_grad_input(dy, w, {4, 4, 4}));
  CHECK_THROWS_WITH(
      conv3d_grad_input(dy, w, {4, 4, 5}),
      Contains("[conv3d_grad_input] grad: got spatial size (2, 2, 2) and 2 channels; must be (2, 2, 3) and 2"));
  CHECK_THROWS_AS(conv3d_grad_input(dy, w, {4, 4, -1}), ValueError);
  CHECK_NOTHROW(conv3d_grad_weight(x, dy, {3, 3, 3}));
  CHECK_THROWS_WITH(conv3d_grad_weight(x, dy, {3, 3, 2}), Contains("[conv3d_grad_weight] grad: got spatial size"));
  CHECK_THROWS_WITH(conv3d_grad_weight(Variable(Tensor::ones({2, 4, 4, 4, 4})), dy, {3, 3, 3}),
                    Contains("its batch is 1; must be 2"));

  const Variable wt(Tensor::ones({3, 3, 3, 2, 4}));
  CHECK_NOTHROW(conv_transpose3d(x, wt));
  CHECK_THROWS_WITH(conv_transpose3d(x, w),
                    Contains("[conv_transpose3d] w: has 2 input channels per group; must be 4"));
  CHECK_THROWS_WITH(conv_transpose3d(x, wt, {.stride = {1, 0, 1}}),
                    Contains("[conv_transpose3d] stride: got (1, 0, 1)"));
  CHECK_THROWS_WITH(conv_transpose3d(x, wt, {.groups = 3}), Contains("[conv_transpose3d] out_channels: got 2"));
}

TEST_CASE("padding that crops more than an axis has is refused by every convolution", "[conv3d]") {
  const auto pads = [](std::int64_t lo, std::int64_t hi) {
    return std::array<std::pair<std::int64_t, std::int64_t>, 3>{{{0, 0}, {lo, hi}, {0, 0}}};
  };
  const auto x = [](std::int64_t extent) { return Variable(Tensor::ones({1, 4, extent, 4, 2})); };
  const Variable w(Tensor::ones({1, 1, 1, 2, 3})), wt(Tensor::ones({1, 1, 1, 3, 2}));
  const std::string says = "padding: got (-2, 5) along W, of extent 1; must not crop more than that";
  CHECK_THROWS_WITH(conv3d(x(1), w, {.padding = pads(-2, 5)}), Contains("[conv3d] " + says));
  CHECK_THROWS_WITH(conv3d(x(1), w, {.padding = pads(5, -2)}), Contains("[conv3d] padding: got (5, -2) along W"));
  CHECK_THROWS_WITH(conv3d(x(2), w, {.padding = pads(-1, -2)}), Contains("[conv3d] padding: got (-1, -2) along W"));
  CHECK_THROWS_WITH(conv3d_out_size({6, 6, 6}, {1, 1, 1}, {.padding = pads(-5, -5)}),
                    Contains("padding: got (-5, -5)"));
  CHECK_THROWS_AS(conv3d_grad_input(Variable(Tensor::ones({1, 4, 4, 4, 3})), w, {4, 1, 4}, {.padding = pads(-2, 5)}),
                  ValueError);
  CHECK_THROWS_AS(
      conv3d_grad_weight(x(1), Variable(Tensor::ones({1, 4, 4, 4, 3})), {1, 1, 1}, {.padding = pads(-2, 5)}),
      ValueError);
  CHECK_THROWS_WITH(conv_transpose3d(x(1), wt, {.padding = pads(-2, 5)}), Contains("[conv_transpose3d] " + says));
  // An axis may be cropped completely; its extent includes the dilation.
  CHECK(conv3d(x(2), w, {.padding = pads(-2, 3)}).shape() == Shape{1, 4, 3, 4, 3});
  CHECK(conv3d(x(2), w, {.padding = pads(-2, 0)}).shape() == Shape{1, 4, 0, 4, 3});
  CHECK(conv3d(x(2), w, {.padding = pads(-4, 5), .lhs_dilation = {1, 3, 1}}).shape() == Shape{1, 4, 5, 4, 3});
  CHECK(conv_transpose3d(x(2), wt, {.stride = {1, 3, 1}, .padding = pads(-4, 5)}).shape() == Shape{1, 4, 5, 4, 3});
  CHECK_THROWS_WITH(conv_transpose3d(x(2), wt, {.stride = {1, 3, 1}, .padding = pads(-5, 5)}),
                    Contains("[conv_transpose3d] padding: got (-5, 5) along W, of extent 4"));
}

TEST_CASE("convolutions refuse numbers whose sums and products would overflow", "[conv3d]") {
  const Variable x(Tensor::ones({1, 2, 2, 2, 1})), w(Tensor::ones({1, 1, 1, 1, 1}));
  constexpr std::int64_t least = INT64_MIN, most = INT64_MAX;
  for (const auto& pads : {std::pair{least, least}, std::pair{least, std::int64_t{0}},
                           std::pair{std::int64_t{0}, least}, std::pair{most, least}, std::pair{most, most}}) {
    CHECK_THROWS_WITH(conv3d(x, w, {.padding = {{pads, {0, 0}, {0, 0}}}}), Contains("[conv3d] padding: got ("));
    CHECK_THROWS_WITH(conv_transpose3d(x, w, {.padding = {{pads, {0, 0}, {0, 0}}}}),
                      Contains("[conv_transpose3d] padding: got ("));
  }
  for (const std::int64_t bad : {least, most, std::int64_t{1} << 31}) {
    CHECK_THROWS_WITH(conv3d(x, w, {.stride = {1, bad, 1}}), Contains("[conv3d] stride: got (1, "));
    CHECK_THROWS_WITH(conv3d(x, w, {.rhs_dilation = {1, bad, 1}}), Contains("[conv3d] rhs_dilation: got (1, "));
    CHECK_THROWS_WITH(conv3d(x, w, {.groups = bad}), Contains("[conv3d] "));
    CHECK_THROWS_WITH(conv3d_out_size({1, 1, bad == 1ll << 31 ? bad + 1 : bad}, {1, 1, 1}, {}),
                      Contains("[conv3d] in_size: got (1, 1, "));
    CHECK_THROWS_WITH(conv3d_out_size({1, 1, 1}, {bad, 1, 1}, {}), Contains("[conv3d] kernel_size: got ("));
  }
  CHECK_THROWS_WITH(conv3d_grad_input(x, Variable(Tensor::ones({1, 1, 1, 2, 1})), {2, 2, 2}, {.groups = most}),
                    Contains("[conv3d_grad_input] groups: got 9223372036854775807"));
  // An empty batch may have any extents.
  constexpr std::int64_t huge = std::int64_t{1} << 62;
  const Variable none(Tensor({0, huge, 2, 2, 1}));
  CHECK_THROWS_WITH(conv3d(none, w), Contains("[conv3d] in_size: got (4611686018427387904, 2, 2)"));
  CHECK_THROWS_WITH(conv_transpose3d(none, w, {.stride = {1 << 30, 1, 1}}),
                    Contains("[conv_transpose3d] in_size: got (4611686018427387904, 2, 2)"));
}

TEST_CASE("a convolution of two dtypes says how to make them one", "[conv3d]") {
  const Variable x(Tensor::ones({1, 2, 2, 2, 1}, f64)), w(Tensor::ones({1, 1, 1, 1, 1}));
  const std::string says =
      "x: got f64; w is f32: both must have the same dtype. Convert x with .to(vg::f32), or the model that w "
      "belongs to with model.to(vg::f64)";
  CHECK_THROWS_WITH(conv3d(x, w), Contains("[conv3d] " + says));
  CHECK_THROWS_WITH(conv_transpose3d(x, w), Contains("[conv_transpose3d] " + says));
  CHECK_THROWS_AS(conv3d_grad_input(x, w, {2, 2, 2}), TypeError);
}
