// Metrics and surface distances: comparison with MONAI and plain loops, independence of batches and threads, and
// errors.
#include "voxgrad/evaluation/metrics.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "support/golden.hpp"
#include "support/message_of.hpp"
#include "support/plain.hpp"
#include "support/threads_guard.hpp"
#include "voxgrad/evaluation/distance.hpp"
#include "voxgrad/framework/ops/loss.hpp"

using namespace vg;
using namespace vg::test;
using Catch::Matchers::Contains;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN(),
                 infinity = std::numeric_limits<double>::infinity();

bool close(double a, double b) { return std::isnan(a) ? std::isnan(b) : std::abs(a - b) < 1e-6 * std::max(1.0, b); }
double number(const nlohmann::json& v) { return v.is_null() ? not_a_number : v.get<double>(); }

// A mask in which about one voxel in `rarity` is on.
Tensor sparse(const Shape& shape, std::uint64_t seed, std::int64_t rarity) {
  vg::test::Dice dice(seed);
  Tensor mask(shape, i32);
  for (std::int64_t i = 0; i < mask.numel(); ++i) mask.data<std::int32_t>()[i] = dice.roll(1, rarity) == 1;
  return mask;
}

// Labels in [0, classes), in clumps.
Tensor clumps(const Shape& shape, std::int64_t classes, std::uint64_t seed) {
  Tensor labels = vg::test::numbers(shape, i32, seed, 0, static_cast<double>(classes));
  for (std::int64_t i = 0; i + 1 < labels.numel(); ++i)
    if (i % 5 != 0) labels.data<std::int32_t>()[i + 1] = labels.data<std::int32_t>()[i];
  return labels;
}

// The distance of each voxel to the nearest one that is on, by brute force.
Tensor brute_force(const Tensor& mask, const std::array<double, 3>& spacing) {
  return vg::test::build(mask.shape(), [&](const vg::test::Index& a) {
    double nearest = infinity;
    vg::test::each_index(mask.shape(), [&](const vg::test::Index& b) {
      if (vg::test::at(mask, b) == 0) return;
      double square = 0;
      for (std::size_t d = 0; d < 3; ++d) square += std::pow(static_cast<double>(a[d] - b[d]) * spacing[d], 2);
      nearest = std::min(nearest, std::sqrt(square));
    });
    return nearest;
  });
}

void check_equal(const MetricValues& a, const MetricValues& b) {
  CHECK(a.samples == b.samples);
  CHECK(a.positions == b.positions);
  CHECK(a.accuracy == b.accuracy);
  CHECK(vg::test::same_bits(a.confusion, b.confusion));
  for (auto scores : {&MetricValues::dice, &MetricValues::iou, &MetricValues::hausdorff}) {
    CHECK(((a.*scores).mean == (b.*scores).mean || std::isnan((a.*scores).mean)));
    CHECK((a.*scores).samples == (b.*scores).samples);
    CHECK(vg::test::same_bits(Tensor::of(Shape{4}, (a.*scores).by_class), Tensor::of(Shape{4}, (b.*scores).by_class)));
  }
}

}  // namespace

TEST_CASE("distance_transform equals trying all voxels", "[metrics]") {
  const std::array<std::array<double, 3>, 3> spacings{{{1, 1, 1}, {0.5, 1.25, 3}, {2, 0.7, 1.1}}};
  std::uint64_t seed = 1;
  for (const Shape& shape :
       {Shape{7, 9, 8}, Shape{1, 12, 10}, Shape{11, 1, 9}, Shape{13, 8, 1}, Shape{1, 1, 1}, Shape{3, 4, 17}})
    for (const auto& spacing : spacings)
      for (std::int64_t rarity : {1, 3, 20, 200}) {
        const Tensor mask = sparse(shape, ++seed, rarity), want = brute_force(mask, spacing);
        INFO(shape.str() << ' ' << rarity);
        const Tensor got = distance_transform(mask, spacing);
        REQUIRE(got.dtype() == f64);
        // Distances of integer squares are exact.
        if (spacing[0] == 1) CHECK(got.values() == want.values());
        for (std::int64_t i = 0; i < got.numel(); ++i)
          if (!(got.value_at(i) == want.value_at(i) || std::abs(got.value_at(i) - want.value_at(i)) < 1e-12)) FAIL(i);
        const vg::test::ThreadsGuard threads(3);
        CHECK(vg::test::same_bits(distance_transform(mask.to(f32), spacing), got));
      }
}

TEST_CASE("distance_transform: an empty mask, and bad arguments", "[metrics]") {
  for (double d : distance_transform(Tensor::zeros({3, 4, 5})).values()) CHECK(d == infinity);
  CHECK(distance_transform(Tensor({3, 0, 5})).numel() == 0);
  CHECK_THROWS_WITH(distance_transform(Tensor::ones({3, 4})), Contains("mask: got shape (3, 4); must be of rank 3"));
  CHECK_THROWS_WITH(distance_transform(Tensor()), Contains("mask: got an undefined tensor"));
  CHECK_THROWS_WITH(distance_transform(Tensor::ones({3, 4, 5}), {1, 0, 1}), Contains("spacing: got 0"));
  CHECK_THROWS_WITH(distance_transform(Tensor::ones({3, 4, 5}), {1, 1, infinity}), Contains("spacing: got inf"));
}

TEST_CASE("hausdorff_distance: known distances, NaN and infinity", "[metrics]") {
  // Two cubes of 3^3, five voxels apart along the last axis.
  Tensor a = Tensor::zeros({5, 5, 12}, i32), b = a.clone();
  vg::test::each_index(a.shape(), [&](const vg::test::Index& i) {
    const bool across = i[0] >= 1 && i[0] < 4 && i[1] >= 1 && i[1] < 4;
    const std::int64_t at = (i[0] * 5 + i[1]) * 12 + i[2];
    if (across && i[2] >= 1 && i[2] < 4) a.data<std::int32_t>()[at] = 2;
    if (across && i[2] >= 6 && i[2] < 9) b.data<std::int32_t>()[at] = 2;
  });
  CHECK(hausdorff_distance(a, b, 2, {.percentile = 100}) == 5);
  CHECK(hausdorff_distance(a, b, 2, {.percentile = 0}) == 3);
  CHECK(hausdorff_distance(a, b, 2, {.percentile = 100, .spacing = {9, 9, 0.5}}) == 2.5);
  CHECK(hausdorff_distance(a, a, 2) == 0);
  CHECK(std::isnan(hausdorff_distance(a, b, 1)));
  CHECK(hausdorff_distance(a, Tensor::zeros({5, 5, 12}, i32), 2) == infinity);
  CHECK(hausdorff_distance(Tensor::zeros({5, 5, 12}, i32), a, 2) == infinity);
  // One voxel differs from class 0: the distance from it is short, that from the far corner is long.
  Tensor point = Tensor::zeros({5, 5, 12}, i32);
  point.data<std::int32_t>()[0] = 1;
  const Tensor ones = Tensor::ones({5, 5, 12}, i32);
  CHECK(hausdorff_distance(point, ones, 1, {.percentile = 100, .directed = true}) == 0);
  CHECK(hausdorff_distance(point, ones, 1, {.percentile = 100}) == Approx(std::sqrt(16.0 + 16 + 121)).epsilon(1e-15));

  CHECK_THROWS_WITH(hausdorff_distance(a, Tensor::zeros({5, 5, 11}, i32), 1),
                    Contains("labels: got shape (5, 5, 11); must be (5, 5, 12)"));
  CHECK_THROWS_WITH(hausdorff_distance(Tensor::zeros({5, 5}, i32), a, 1), Contains("predicted: got shape (5, 5)"));
  CHECK_THROWS_AS(hausdorff_distance(a, Tensor::zeros({5, 5, 12}), 1), TypeError);
  CHECK_THROWS_WITH(hausdorff_distance(a, b, 1, {.percentile = 101}),
                    Contains("percentile: got 101; must be in [0, 100]"));
  CHECK_THROWS_WITH(hausdorff_distance(a, b, 1, {.spacing = {-1, 1, 1}}), Contains("spacing: got -1"));
}

TEST_CASE("Metrics: the numbers of MONAI", "[metrics]") {
  const nlohmann::json file = golden::read(golden::path_of("evaluation/metrics.json"));
  const Tensor predicted = golden::tensor(file["predicted"], i32), labels = golden::tensor(file["labels"], i32);
  REQUIRE(file["cases"].size() == 16);
  for (const nlohmann::json& c : file["cases"]) {
    INFO(c["include_background"] << c["ignore_empty"] << c["percentile"] << c["spacing"]);
    Metrics metrics({.classes = 4,
                     .include_background = c["include_background"],
                     .ignore_empty = c["ignore_empty"],
                     .hausdorff = true,
                     .percentile = c["percentile"],
                     .spacing = c["spacing"].get<std::array<double, 3>>()});
    metrics.update(one_hot(predicted, 4), labels);
    const MetricValues m = metrics.value();
    const std::size_t first = c["include_background"] ? 0 : 1;
    for (const auto& [name, scores] :
         {std::pair("dice", m.dice), std::pair("iou", m.iou), std::pair("hausdorff", m.hausdorff)}) {
      INFO(name);
      CHECK(close(scores.mean, number(c[name]["mean"])));
      REQUIRE(scores.by_class.size() == 4);
      if (first == 1) CHECK(std::isnan(scores.by_class[0]));
      for (std::size_t k = first; k < 4; ++k) CHECK(close(scores.by_class[k], number(c[name]["by_class"][k - first])));
    }
    CHECK(golden::error(m.confusion, golden::tensor(file["confusion"], f64).to(f64)) == 0);
    CHECK(m.samples == 3);
    CHECK(m.positions == labels.numel());
    CHECK(m.hausdorff.samples == std::vector<std::int64_t>{first == 0 ? 3 : 0, 2, 2, 2});
  }
}

TEST_CASE("Metrics: batches, threads and the kind of prediction change nothing", "[metrics]") {
  const Shape shape{3, 50, 60, 47};  // several tasks per sample
  const Tensor labels = clumps(shape, 4, 1), predicted = clumps(shape, 4, 2);
  const MetricsOptions options{.classes = 4, .ignore_index = 3, .hausdorff = true};
  Metrics whole(options);
  whole.update(predicted, labels);
  const MetricValues want = whole.value();
  CHECK(want.accuracy > 0.1);
  CHECK(std::isnan(want.hausdorff.by_class[3]));
  for (int threads : {1, 3}) {
    const vg::test::ThreadsGuard scope(threads);
    Metrics parts(options);
    parts.update(labels, predicted);
    parts.reset();
    for (std::int64_t b = 0; b < 3; ++b) {
      const std::int64_t voxels = labels.numel() / 3;
      const auto sample = [&](const Tensor& t) {
        const auto* from = t.data<std::int32_t>() + b * voxels;
        return Tensor::of(Shape{1, 50, 60, 47}, std::vector<std::int32_t>(from, from + voxels));
      };
      if (b == 1)
        parts.update(one_hot(sample(predicted), 4, f64), sample(labels));
      else
        parts.update(sample(predicted), sample(labels));
    }
    check_equal(parts.value(), want);
  }
}

TEST_CASE("Metrics: ignored positions, classification, and nothing seen", "[metrics]") {
  Metrics metrics({.classes = 3, .include_background = true, .ignore_index = -1});
  CHECK(std::isnan(metrics.value().accuracy));
  CHECK(std::isnan(metrics.value().dice.mean));
  CHECK(metrics.value().samples == 0);
  metrics.update(Tensor::of<float>({4, 3}, {0, 1, 0, 3, 3, 1, 0, 0, 9, 1, 0, 0}),
                 Tensor::of<std::int32_t>({4}, {1, 0, -1, 2}));
  const MetricValues m = metrics.value();
  CHECK(m.samples == 4);
  CHECK(m.positions == 3);
  CHECK(m.accuracy == Approx(2.0 / 3));
  CHECK(m.confusion.values() == std::vector<double>{1, 0, 0, 0, 1, 0, 1, 0, 0});
  CHECK(m.dice.by_class == std::vector<double>{1, 1, 0});
  CHECK(m.dice.mean == Approx(2.0 / 3));  // mean of three samples; the ignored one has no score
  metrics.reset();
  CHECK(metrics.value().samples == 0);
  CHECK(metrics.value().confusion.values() == std::vector<double>(9, 0.0));
}

TEST_CASE("Metrics: ignored voxels are on neither surface", "[metrics]") {
  Tensor labels = Tensor::zeros({1, 4, 4, 8}, i32), predicted = labels.clone();
  for (std::int64_t k = 2; k < 4; ++k)
    labels.data<std::int32_t>()[21 * 2 + k] = predicted.data<std::int32_t>()[21 * 2 + k] = 1;
  predicted.data<std::int32_t>()[0] = 1;  // far from the others
  const auto distance = [&](std::optional<std::int32_t> ignored) {
    Metrics metrics({.classes = 2, .ignore_index = ignored, .hausdorff = true, .percentile = 100});
    metrics.update(predicted, labels);
    return metrics.value().hausdorff.mean;
  };
  CHECK(distance(std::nullopt) > 4);
  labels.data<std::int32_t>()[0] = 255;
  CHECK(distance(255) == 0);
}

TEST_CASE("Metrics: bad arguments are refused, and nothing is counted then", "[metrics]") {
  const auto made_with = [](const MetricsOptions& o) { return ::test::message_of([&] { Metrics metrics(o); }); };
  CHECK_THAT(made_with({}), Contains("[metrics] classes: got 0; must be in [1, 4096]"));
  CHECK_THAT(made_with({.classes = 5000}), Contains("got 5000"));
  CHECK_THAT(made_with({.classes = 1}), Contains("must be at least 2, or set include_background"));
  CHECK_THAT(made_with({.classes = 2, .percentile = -1}), Contains("percentile: got -1"));
  CHECK_THAT(made_with({.classes = 2, .spacing = {1, not_a_number, 1}}), Contains("spacing: got nan"));

  Metrics metrics({.classes = 3, .ignore_index = 9, .hausdorff = true});
  const Tensor good = Tensor::zeros({1, 2, 2, 2}, i32);
  Tensor bad = good.clone();
  bad.data<std::int32_t>()[5] = 3;
  CHECK_THROWS_WITH(metrics.update(good, bad),
                    Contains("[metrics] labels: got 3 at (0, 1, 0, 1); must be in [0, 3) or ignore_index, 9"));
  CHECK_THROWS_WITH(metrics.update(bad, good),
                    Contains("[metrics] predictions: got 3 at (0, 1, 0, 1); must be in [0, 3)"));
  CHECK_THROWS_AS(metrics.update(good, good.to(f32)), TypeError);
  CHECK_THROWS_WITH(metrics.update(good.to(f32), good),
                    Contains("predictions: got f32 (1, 2, 2, 2) for labels (1, 2, 2, 2)"));
  CHECK_THROWS_WITH(metrics.update(Tensor::ones({1, 2, 2, 2, 4}), good), Contains("floating with 3 classes behind it"));
  CHECK_THROWS_WITH(metrics.update(Tensor::zeros({8}, i32), Tensor::zeros({8}, i32)),
                    Contains("labels: got shape (8,); must be (batch, height, width, depth)"));
  CHECK_THROWS_WITH(metrics.update(Variable(), good), Contains("undefined"));
  CHECK(metrics.value().samples == 0);
  CHECK(metrics.value().positions == 0);
}
