// Resampling, adaptive pools, PReLU and channel dropout: threads, dtypes, known values, and errors.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "support/plain.hpp"
#include "support/threads_guard.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/random.hpp"
#include "voxgrad/framework/ops/ops.hpp"
#include "voxgrad/framework/transforms/gradcheck_catch.hpp"

using namespace vg;
using Catch::Matchers::Contains;
using vg::test::at;
using vg::test::Index;

namespace {

struct Case {
  std::string name;
  std::function<Variable(const Variable&)> f;
};

const Shape big{2, 13, 17, 19, 6};

std::vector<Case> cases() {
  const auto slope = [](const Variable& x) { return Variable(vg::test::numbers({6}, x.dtype(), 3), true); };
  return {{"upsample_trilinear3d",
           [](auto& x) {
             return upsample_trilinear3d(x, {26, 20, 31});
           }},
          {"upsample_trilinear3d, corners",
           [](auto& x) {
             return upsample_trilinear3d(x, {7, 34, 25}, true);
           }},
          {"adaptive_avg_pool3d",
           [](auto& x) {
             return adaptive_avg_pool3d(x, {3, 5, 4});
           }},
          {"adaptive_max_pool3d",
           [](auto& x) {
             return adaptive_max_pool3d(x, {3, 5, 24});
           }},
          {"prelu", [=](auto& x) { return prelu(x, slope(x)); }},
          {"elu", [](auto& x) { return elu(x, 0.7); }},
          {"softplus", [](auto& x) { return softplus(x, 1.5, 2); }},
          {"spatial_dropout3d", [](auto& x) { return spatial_dropout3d(x, 0.5, random::key_of(1)); }}};
}

Tensor slope_of(const Variable& y, const Variable& x, bool create_graph) {
  const Variable seed(vg::test::numbers(y.shape(), y.dtype(), 99));
  return gradients(y, {x}, seed, {.retain_graph = true, .create_graph = create_graph})[0].value();
}

}  // namespace

TEST_CASE("resampling and its relatives: the same bits for any number of threads, float agrees with double",
          "[pool][resample]") {
  for (const Case& c : cases()) {
    INFO(c.name);
    std::vector<Tensor> first;
    const Variable x(vg::test::numbers(big, f32, 1), true), wide(x.value().to(f64), true);
    for (int n : {1, 2, 3, 8}) {
      const vg::test::ThreadsGuard scope(n);
      const Variable y = c.f(x);
      const std::vector<Tensor> now{y.value(), slope_of(y, x, false)};
      if (first.empty()) first = now;
      CHECK(vg::test::same_bits(now[0], first[0]));
      CHECK(vg::test::same_bits(now[1], first[1]));
    }
    const Variable z = c.f(wide);
    CHECK(vg::test::distance(first[0], z.value()) < 2e-6);
    CHECK(vg::test::distance(first[1], slope_of(z, wide, false)) < 5e-6);
    CHECK(vg::test::distance(slope_of(z, wide, true), slope_of(z, wide, false)) < 1e-13);
  }
}

TEST_CASE("trilinear upsampling: a linear field stays linear, corners keep their values", "[resample]") {
  const auto field = [](double h, double w, double d) { return 1 + 2 * h - 3 * w + 0.5 * d; };
  const Variable x(vg::test::build({1, 3, 4, 5, 1}, [&](const Index& i) {
    return field(static_cast<double>(i[1]), static_cast<double>(i[2]), static_cast<double>(i[3]));
  }));
  const Tensor corners = upsample_trilinear3d(x, {5, 7, 9}, true).value();
  vg::test::each_index(corners.shape(), [&](const Index& i) {
    CHECK(at(corners, i) ==
          Approx(field(static_cast<double>(i[1]) / 2, static_cast<double>(i[2]) / 2, static_cast<double>(i[3]) / 2))
              .margin(1e-12));
  });
  CHECK(vg::test::same_bits(upsample_trilinear3d(x, {3, 4, 5}).value(), x.value()));
  // A constant stays constant, and the adjoint keeps the sum.
  const Variable ones(Tensor::ones({2, 3, 1, 4, 2}, f64), true);
  const Variable y = upsample_trilinear3d(ones, {7, 3, 2});
  CHECK(vg::test::distance(y.value(), Tensor::ones(y.shape(), f64)) < 1e-15);
  CHECK(sum(gradients(y, {ones}, Variable(Tensor::ones(y.shape(), f64)))[0]).item() ==
        Approx(static_cast<double>(y.numel())));
  const Variable empty(Tensor({0, 2, 2, 2, 3}), true);
  CHECK(upsample_trilinear3d(empty, {4, 4, 4}).shape() == Shape{0, 4, 4, 4, 3});
  CHECK(adaptive_avg_pool3d(empty, {1, 1, 1}).shape() == Shape{0, 1, 1, 1, 3});
  CHECK(adaptive_max_pool3d(empty, {1, 1, 1}).shape() == Shape{0, 1, 1, 1, 3});
}

TEST_CASE("adaptive pools equal plain pools if the size is a multiple, and NaN wins the maximum", "[pool]") {
  const Variable x(vg::test::numbers({2, 4, 6, 8, 3}, f64, 5), true);
  const Pool3dArgs args{{2, 2, 2}, {2, 2, 2}, {}};
  CHECK(vg::test::distance(adaptive_avg_pool3d(x, {2, 3, 4}).value(), avg_pool3d(x, args).value()) < 1e-15);
  CHECK(vg::test::same_bits(adaptive_max_pool3d(x, {2, 3, 4}).value(), max_pool3d(x, args).value()));
  CHECK(vg::test::distance(reshape(adaptive_avg_pool3d(x, {1, 1, 1}), {2, 3}).value(), global_avg_pool3d(x).value()) <
        1e-15);
  Tensor odd = Tensor::ones({1, 1, 1, 3, 1});
  odd.data<float>()[1] = std::numeric_limits<float>::quiet_NaN();
  const Tensor y = adaptive_max_pool3d(odd, {1, 1, 2}).value();
  CHECK(std::isnan(y.value_at(0)));
  CHECK(std::isnan(y.value_at(1)));
}

TEST_CASE("channel dropout keeps or drops whole channels with the mask of dropout", "[dropout]") {
  const Variable x(Tensor::ones({3, 2, 2, 2, 5}));
  const Tensor y = spatial_dropout3d(x, 0.6, random::key_of(7)).value();
  const Tensor mask = dropout(Variable(Tensor::ones({3, 1, 1, 1, 5})), 0.6, random::key_of(7)).value();
  vg::test::each_index(y.shape(), [&](const Index& i) { CHECK(at(y, i) == at(mask, {i[0], 0, 0, 0, i[4]})); });
  CHECK(spatial_dropout3d(x, 1, random::key_of(7)).is(x));
}

TEST_CASE("resampling and its relatives say what is wrong with their arguments", "[pool][resample]") {
  const Variable x(Tensor::ones({1, 4, 4, 4, 6})), flat(Tensor::ones({6})), whole(Tensor::ones({1, 2, 2, 2, 1}, i32));
  const std::vector<std::pair<std::string, std::function<Variable(const Variable&, const Triple&)>>> to_size{
      {"upsample_trilinear3d", [](auto& v, auto& s) { return upsample_trilinear3d(v, s); }},
      {"adaptive_avg_pool3d", adaptive_avg_pool3d},
      {"adaptive_max_pool3d", adaptive_max_pool3d}};
  for (const auto& [name, f] : to_size) {
    CHECK_THROWS_WITH(f(x, {1, 0, 1}), Contains("[" + name + "] size: got (1, 0, 1); every entry must be in [1, "));
    CHECK_THROWS_WITH(f(flat, {1, 1, 1}), Contains("[" + name + "] x: got shape (6,); must be of rank 5"));
    CHECK_THROWS_AS(f(whole, {1, 1, 1}), TypeError);
    CHECK_THROWS_WITH(f(Variable(Tensor({1, 0, 2, 2, 1})), {1, 1, 1}), Contains("extent must be at least 1"));
  }
  for (const double bad : {0.0, -1.0, 0.2, 1e9, std::nan("")})
    CHECK_THROWS_WITH(rescale_trilinear3d(x, {1.0, bad, 2.0}), Contains("[rescale_trilinear3d] factor: got (1, "));
  CHECK_THROWS_WITH(prelu(x, Variable(Tensor::ones({5}))),
                    Contains("[prelu] slope: got shape (5,); must be (1,) or (6,)"));
  CHECK_THROWS_WITH(prelu(x, Variable(Tensor::ones({1, 6}))), Contains("[prelu] slope: got shape (1, 6)"));
  CHECK_THROWS_AS(prelu(x, Variable(Tensor::ones({6}, f64))), TypeError);
  CHECK_THROWS_AS(prelu(whole, flat), TypeError);
  CHECK_THROWS_WITH(elu(x, -0.5), Contains("[elu] alpha: got -0.5; must be at least 0"));
  CHECK_THROWS_WITH(softplus(x, 0, 20), Contains("[softplus] beta: got 0; must be positive"));
  CHECK_THROWS_WITH(spatial_dropout3d(flat, 0.5, random::key_of(1)), Contains("[spatial_dropout3d] x: got shape (6,)"));
  CHECK_THROWS_WITH(spatial_dropout3d(x, 0, random::key_of(1)), Contains("[spatial_dropout3d] keep: got 0"));
}

TEST_CASE("prelu of a number has gradients of any order", "[gradcheck]") {
  const auto f = [](const std::vector<Variable>& in) { return prelu(in[0], in[1]); };
  for (const double value : {-1.5, 0.75}) {
    const Tensor x = Tensor::scalar(value, f64), slope = Tensor::of<double>({1}, {0.3});
    CHECK(prelu(Variable(x), Variable(slope)).shape() == Shape{});
    CHECK(prelu(Variable(x), Variable(slope)).item() == Approx(value > 0 ? value : 0.3 * value));
    CHECK_THAT(gradcheck(f, {x, slope}), Passes());
    CHECK_THAT(gradgradcheck(f, {x, slope}), Passes());
  }
}

// From PyTorch's compute_source_index_and_lambda (aten/src/ATen/native/UpSample.h): if output_size == input_size, it
// copies, for any given scale; otherwise the step is 1 / scale_factor.
TEST_CASE("a factor that keeps the extent of an axis copies it, as PyTorch's scale_factor does", "[resample]") {
  const Variable x(vg::test::numbers({2, 3, 4, 5, 2}, f64, 1), true);
  for (const bool corners : {false, true}) {
    INFO(corners);
    CHECK(vg::test::same_bits(rescale_trilinear3d(x, {1.3, 1.2, 1.1}, corners).value(), x.value()));
    // One axis of the three is copied; the others are resampled as without it.
    CHECK(vg::test::same_bits(rescale_trilinear3d(x, {1.3, 2, 1.1}, corners).value(),
                              rescale_trilinear3d(x, {1, 2, 1}, corners).value()));
  }
  const Variable seed(vg::test::numbers(x.shape(), f64, 2));
  CHECK(vg::test::same_bits(gradients(rescale_trilinear3d(x, {1.3, 1.2, 1.1}) * 1.0, {x}, seed)[0].value(),
                            seed.value()));
  // If the extent changes, the factor defines the positions: output o of 4 is at (o + 0.5) / 1.45 - 0.5.
  const Variable line(Tensor::of<double>({1, 3, 1, 1, 1}, {0, 1, 2}));
  const Tensor y = rescale_trilinear3d(line, {1.45, 1, 1}).value();
  for (int o = 0; o < 4; ++o)
    CHECK(y.value_at(o) == Approx(std::clamp((o + 0.5) / 1.45 - 0.5, 0.0, 2.0)).margin(1e-12));
}

TEST_CASE("adaptive pools refuse too few sizes, and name them", "[pool]") {
  const Variable x(Tensor::ones({1, 4, 4, 4, 2}));
  CHECK_THROWS_WITH(adaptive_avg_pool3d(x, {2, 2}), Contains("[adaptive_avg_pool3d] size: got (2, 2, 0)"));
  CHECK_THROWS_WITH(adaptive_max_pool3d(x, {2}), Contains("[adaptive_max_pool3d] size: got (2, 0, 0)"));
}

TEST_CASE("pools and resampling of empty volumes allocate no tables, and refuse extents past 2^31", "[pool]") {
  constexpr std::int64_t most = 2147483647, huge = std::int64_t{1} << 62;
  const Variable none(Tensor({0, most, most, most, 1})), past(Tensor({0, huge, 4, 4, 1}));
  const Pool3dArgs wide{{most, most, most}, {1, 1, 1}, {{{most - 1, most - 1}, {most - 1, 0}, {0, most - 1}}}};
  using Pool = std::function<Variable(const Variable&)>;
  const std::vector<std::pair<std::string, Pool>> pools{{"max_pool3d", [&](auto& x) { return max_pool3d(x, wide); }},
                                                        {"avg_pool3d", [&](auto& x) { return avg_pool3d(x, wide); }},
                                                        {"adaptive_max_pool3d", [&](auto& x) {
                                                           return adaptive_max_pool3d(x, {most, most, most});
                                                         }}};
  for (const auto& [name, pool] : pools) {
    INFO(name);
    const Variable x(none.value(), true);
    const Variable y = pool(x);
    CHECK(y.numel() == 0);
    CHECK(gradients(y, {x}, Variable(Tensor(y.shape())))[0].shape() == x.shape());
    CHECK_THROWS_WITH(pool(past), Contains("[" + name + "] x: got spatial size (4611686018427387904, 4, 4); every "));
  }
  CHECK_THROWS_WITH(upsample_nearest3d(past, {2, 2, 2}), Contains("[upsample_nearest3d] x: got shape (0, 46116860184"));
  CHECK_THROWS_WITH(rescale_trilinear3d(past, {0.5, 1, 1}), Contains("[rescale_trilinear3d] x: got shape (0, 461168"));
}
