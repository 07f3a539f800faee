// Initializers draw the values of brainstate for the same seed.
#include <catch2/catch.hpp>
#include <cmath>
#include <nlohmann/json.hpp>

#include "support/golden.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/random.hpp"
#include "voxgrad/layers/conv/conv3d.hpp"
#include "voxgrad/layers/init/init.hpp"

using namespace vg;
using namespace vg::test;
using nlohmann::json;

namespace {

Initializer named(const std::string& name) {
  if (name == "XavierNormal") return init::XavierNormal();
  if (name == "XavierUniform") return init::XavierUniform();
  if (name == "KaimingNormal") return init::KaimingNormal();
  if (name == "KaimingUniform") return init::KaimingUniform();
  if (name == "LecunNormal") return init::LecunNormal();
  if (name == "LecunUniform") return init::LecunUniform();
  if (name == "Normal(0,0.5)") return init::Normal(0, 0.5);
  if (name == "Uniform(-1,2)") return init::Uniform(-1, 2);
  if (name == "TruncatedNormal(0,1)") return init::TruncatedNormal(0, 1);
  if (name == "Orthogonal") return init::Orthogonal();
  if (name == "Constant(0.1)") return init::Constant(0.1);
  if (name == "ZeroInit") return init::ZeroInit();
  if (name == "VarianceScaling(2,fan_out,normal)") return init::VarianceScaling(2, "fan_out", "normal");
  throw ValueError("no initializer " + name);
}

double deviation(const Tensor& t) {
  double sum = 0;
  for (double v : t.values()) sum += v * v;
  return std::sqrt(sum / static_cast<double>(t.numel()));
}

// The largest difference in units of the distribution's scale.
double scaled_error(const Tensor& got, const Tensor& want) {
  const double scale = deviation(want);
  return golden::error(got, want, Tensor::full(want.shape(), scale > 0 ? scale : 1, f64));
}

}  // namespace

TEST_CASE("initializers draw brainstate's numbers, with one key per call") {
  const json file = golden::read(golden::path_of("initializers.json"));
  for (const json& c : file.at("cases")) {
    if (!c.contains("initializer")) continue;
    const auto name = c.at("initializer").get<std::string>();
    random::seed(c.at("seed").get<std::uint64_t>());
    const Initializer draw = named(name);
    for (const json& wanted : c.at("draws")) {
      const Tensor want = golden::tensor(wanted, f32), got = draw(want.shape());
      INFO(name << ", seed " << c.at("seed") << ", shape " << want.shape().str());
      CHECK(got.dtype() == f32);
      CHECK(scaled_error(got, want) <= (name == "Orthogonal" ? 5e-6 : 1e-6));
    }
  }
}

TEST_CASE("layers draw in the order of their construction, as in brainstate") {
  const json file = golden::read(golden::path_of("initializers.json"));
  for (const json& c : file.at("cases")) {
    if (!c.contains("model")) continue;
    random::seed(c.at("seed").get<std::uint64_t>());
    Conv3d first({.in_size = {8, 8, 8, 2}, .out_channels = 4, .kernel_size = 3, .b_init = init::Normal(0, 0.1)});
    Conv3d second({.in_size = {8, 8, 8, 4}, .out_channels = 6, .kernel_size = {1, 2, 3}, .groups = 2});
    const json& states = c.at("states");
    CHECK(scaled_error(first.weight["weight"].value(), golden::tensor(states[0].at("weight"), f32)) <= 1e-6);
    CHECK(scaled_error(first.weight["bias"].value(), golden::tensor(states[0].at("bias"), f32)) <= 1e-6);
    CHECK(scaled_error(second.weight["weight"].value(), golden::tensor(states[1].at("weight"), f32)) <= 1e-6);
    CHECK_FALSE(second.weight.has("bias"));
  }
}

TEST_CASE("an orthogonal matrix is orthogonal, for any axis and side") {
  random::seed(3);
  for (int axis : {0, 1, 2, -1}) {
    const Shape shape{3, 4, 5};
    const Tensor w = init::Orthogonal(2, axis)(shape);
    REQUIRE(w.shape() == shape);
    const int at = axis < 0 ? axis + 3 : axis;
    // Slices along the axis are the rows. There are fewer rows than columns, so the rows are orthogonal with length 2.
    const std::int64_t rows = shape.at(at);
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t s = 0; s < rows; ++s) {
        double dot = 0;
        for (std::int64_t i = 0; i < w.numel(); ++i) {
          const std::int64_t inner = at == 0 ? 20 : at == 1 ? 5 : 1;
          if (i / inner % rows == r) dot += w.value_at(i) * w.value_at(i + (s - r) * inner);
        }
        CHECK(dot == Approx(r == s ? 4 : 0).margin(1e-5));
      }
  }
  const Tensor tall = init::Orthogonal()({2, 7});  // 7 rows of 2: the columns are orthonormal
  CHECK(tall.value_at(0) * tall.value_at(7) + tall.value_at(1) * tall.value_at(8) +
            tall.value_at(2) * tall.value_at(9) + tall.value_at(3) * tall.value_at(10) +
            tall.value_at(4) * tall.value_at(11) + tall.value_at(5) * tall.value_at(12) +
            tall.value_at(6) * tall.value_at(13) ==
        Approx(0).margin(1e-6));
  CHECK_THROWS_AS(init::Orthogonal(1, 3)({2, 2}), ValueError);
  CHECK_THROWS_AS(init::Orthogonal()({2, 0}), ValueError);
}

TEST_CASE("a delta-orthogonal kernel is zero except in its middle") {
  random::seed(3);
  const Tensor w = init::DeltaOrthogonal()({3, 3, 3, 2, 4});
  double inside = 0, all = 0;
  for (std::int64_t i = 0; i < w.numel(); ++i) {
    all += w.value_at(i) * w.value_at(i);
    if (i / 8 == 13) inside += w.value_at(i) * w.value_at(i);
  }
  CHECK(inside == Approx(2));
  CHECK(all == Approx(2));
  CHECK_THROWS_AS(init::DeltaOrthogonal()({3, 3, 3, 4, 2}), ValueError);
  CHECK_THROWS_AS(init::DeltaOrthogonal()({4, 4}), ValueError);
}

TEST_CASE("a truncated normal stays within its bounds") {
  random::seed(1);
  const Tensor w = init::TruncatedNormal(1, 0.5, 0.8, 1.1)({1000});
  double sum = 0;
  for (double v : w.values()) {
    CHECK((v >= 0.8 && v <= 1.1));
    sum += v;
  }
  CHECK(sum / 1000 == Approx(0.95).margin(0.02));
}

TEST_CASE("init: gains, descriptions, errors") {
  CHECK(init::calculate_init_gain("linear") == 1);
  CHECK(init::calculate_init_gain("conv_transpose3d") == 1);
  CHECK(init::calculate_init_gain("sigmoid") == 1);
  CHECK(init::calculate_init_gain("tanh") == Approx(5.0 / 3));
  CHECK(init::calculate_init_gain("relu") == Approx(std::sqrt(2.0)));
  CHECK(init::calculate_init_gain("leaky_relu") == Approx(std::sqrt(2 / 1.0001)));
  CHECK(init::calculate_init_gain("leaky_relu", 0.5) == Approx(std::sqrt(1.6)));
  CHECK(init::calculate_init_gain("selu") == 0.75);
  CHECK_THROWS_AS(init::calculate_init_gain("relu7"), ValueError);

  CHECK(init::Constant(0.1).str() == "Constant(0.1)");
  CHECK(init::XavierNormal().str() == "XavierNormal(1, fan_avg, truncated_normal)");
  CHECK(Initializer(Tensor::zeros({2, 3})).str() == "array f32 (2, 3)");
  CHECK(Initializer([](const Shape& s) { return Tensor::ones(s); }).str() == "custom");
  CHECK(Initializer(std::nullopt).str() == "None");

  CHECK_THROWS_AS(init::VarianceScaling(1, "fan", "normal"), ValueError);
  CHECK_THROWS_AS(init::VarianceScaling(1, "fan_in", "norm"), ValueError);
  CHECK_THROWS_AS(init::XavierNormal(0), ValueError);
  CHECK_THROWS_AS(init::XavierNormal()({3}), ValueError);
  CHECK_THROWS_AS(init::TruncatedNormal(0, -1), ValueError);
  CHECK_THROWS_AS(init::TruncatedNormal(0, 1, 2, 2), ValueError);
  CHECK_THROWS_AS(Initializer()({2}), ValueError);
}
