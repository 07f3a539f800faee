// Augmentation and the shapes dataset.
#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <numeric>
#include <set>

#include "support/plain.hpp"
#include "support/threads_guard.hpp"
#include "voxgrad/data/data.hpp"
#include "voxgrad/data/keys.hpp"
#include "voxgrad/framework/base/error.hpp"

using namespace vg;
using namespace vg::test;

namespace {

/// Runs f on 1, 2 and 3 threads and returns the three results.
template <class F>
auto on_threads(F&& f) {
  std::vector<decltype(f())> out;
  for (const int threads : {1, 2, 3}) {
    const ThreadsGuard scope(threads);
    out.push_back(f());
  }
  return out;
}

}  // namespace

TEST_CASE("augment: a marked voxel goes where it should", "[data][augment]") {
  for (const DType dtype : {f32, f64, i32}) {
    Tensor t = Tensor::zeros({4, 5, 6}, dtype);
    dispatch(dtype, [&](auto zero) { t.data<decltype(zero)>()[(1 * 5 + 2) * 6 + 5] = 9; });
    const auto is_at = [](const Tensor& out, std::int64_t i, std::int64_t j, std::int64_t k) {
      const auto values = out.values();
      return at(out, i, j, k) == 9 && std::accumulate(values.begin(), values.end(), 0.0) == 9;
    };
    CHECK(is_at(augment::shift(t, {2, -1, -3}), 3, 1, 2));
    CHECK(is_at(augment::shift(t, {0, 0, 2}, augment::Edge::wrap), 1, 2, 1));
    CHECK(is_at(augment::shift(t, {-2, 13, 0}, augment::Edge::wrap), 3, 0, 5));
    const auto gone = augment::shift(t, {0, 0, 1}).values();
    CHECK(std::all_of(gone.begin(), gone.end(), [](double v) { return v == 0; }));
    CHECK(is_at(augment::flip(t, 0), 2, 2, 5));
    CHECK(is_at(augment::flip(t, -1), 1, 2, 0));
    // numpy.rot90(t, 1, (0, 1)): (i, j) -> (n1 - 1 - j, i).
    CHECK(augment::rotate90(t, 1).shape() == Shape{5, 4, 6});
    CHECK(is_at(augment::rotate90(t, 1), 2, 1, 5));
    CHECK(is_at(augment::rotate90(t, -3), 2, 1, 5));
    CHECK(is_at(augment::rotate90(t, 3), 2, 2, 5));
    CHECK(is_at(augment::rotate90(t, 2), 2, 2, 5));
    CHECK(is_at(augment::rotate90(t, 1, {1, 2}), 1, 0, 2));
    CHECK(is_at(augment::rotate90(t, 1, {2, 1}), 1, 5, 2));
    CHECK(augment::shift(t, {1, 1, 1}).dtype() == dtype);
  }
}

TEST_CASE("augment: identities", "[data][augment]") {
  for (const Shape& shape : {Shape{3, 4, 5}, Shape{4, 3, 2, 3}}) {
    const Tensor t = numbered(shape);
    CHECK(same_bits(augment::shift(t, {0, 0, 0}), t));
    CHECK(same_bits(augment::shift(t, {shape[0], -shape[1], 3 * shape[2]}, augment::Edge::wrap), t));
    CHECK(same_bits(
        augment::shift(augment::shift(t, {1, -2, 1}, augment::Edge::wrap), {-1, 2, -1}, augment::Edge::wrap), t));
    CHECK(same_bits(augment::rotate90(t, 0), t));
    CHECK(same_bits(augment::intensity(t, 1, 0), t));
    CHECK(same_bits(augment::noise(random::key_of(1), t, 0), t));
    for (const int axis : {0, 1, 2}) CHECK(same_bits(augment::flip(augment::flip(t, axis), axis), t));
    for (const auto& plane : {std::array<int, 2>{0, 1}, std::array<int, 2>{1, 2}, std::array<int, 2>{2, 0}}) {
      Tensor turned = t;
      for (int i = 0; i < 4; ++i) turned = augment::rotate90(turned, 1, plane);
      CHECK(same_bits(turned, t));
      CHECK(same_bits(augment::rotate90(augment::rotate90(t, 1, plane), -1, plane), t));
      CHECK(same_bits(augment::rotate90(augment::rotate90(t, 1, plane), 2, plane), augment::rotate90(t, 3, plane)));
      CHECK(same_bits(augment::rotate90(t, 2, plane), augment::flip(augment::flip(t, plane[0]), plane[1])));
    }
  }
  const Sample s{numbered({2, 2, 2}), {}};
  CHECK(same_bits(augment::random_shift(random::key_of(1), s, 0).x, s.x));
  CHECK(same_bits(augment::random_flip(random::key_of(1), s, {0, 1, 2}, 0).x, s.x));
  CHECK(same_bits(augment::random_intensity(random::key_of(1), s, 0, 0).x, s.x));
}

TEST_CASE("augment: x and y move together, and every move is drawn", "[data][augment]") {
  const Tensor y = numbered({4, 4, 4}, i32);
  const Sample s{numbered({4, 4, 4, 1}), y};
  std::set<std::vector<double>> shifted, flipped, turned;
  for (std::int64_t i = 0; i < 200; ++i) {
    const random::Key key = random::fold_in(random::key_of(7), i);
    for (const auto& [name, out] : {std::pair<const char*, Sample>{"shift", augment::random_shift(key, s, 1)},
                                    {"wrap", augment::random_shift(key, s, 2, augment::Edge::wrap)},
                                    {"flip", augment::random_flip(key, s, {0, 2})},
                                    {"turn", augment::random_rotate90(key, s, {0, 2})}}) {
      CAPTURE(name, i);
      CHECK(out.x.values() == out.y.values());
      CHECK(out.y.dtype() == i32);
      if (name[0] == 's') shifted.insert(out.x.values());
      if (name[0] == 'f') flipped.insert(out.x.values());
      if (name[0] == 't') turned.insert(out.x.values());
    }
  }
  CHECK(shifted.size() == 27);
  CHECK(flipped.size() == 4);
  CHECK(turned.size() == 4);
  CHECK(same_bits(s.y, numbered({4, 4, 4}, i32)));
  // With unequal extents only half turns keep the shape.
  for (std::int64_t i = 0; i < 20; ++i)
    CHECK(augment::random_rotate90(random::fold_in(random::key_of(8), i), {numbered({2, 3, 4}), {}}).x.shape() ==
          Shape{2, 3, 4});
}

TEST_CASE("augment: labels without space pass, wrong arguments do not", "[data][augment]") {
  const random::Key key = random::key_of(2);
  const Tensor x = numbered({2, 3, 4});
  CHECK(augment::random_shift(key, {x, Tensor::scalar(3, i32)}, 1).y.item() == 3);
  CHECK_FALSE(augment::random_flip(key, {x, {}}, {0}).y.defined());
  CHECK_THROWS_WITH(augment::random_shift(key, {x, numbered({2, 3, 5})}, 1),
                    Catch::Contains("[random_shift] y") && Catch::Contains("(2, 3, 5)"));
  CHECK_THROWS_AS(augment::random_shift(key, {x, {}}, -1), ValueError);
  CHECK_THROWS_AS(augment::random_flip(key, {x, {}}, {3}), ValueError);
  CHECK_THROWS_AS(augment::random_flip(key, {x, {}}, {0}, 1.5), ValueError);
  CHECK_THROWS_AS(augment::rotate90(x, 1, {1, -2}), ValueError);
  CHECK_THROWS_AS(augment::shift(x, {INT64_MIN, 0, 0}), ValueError);
  CHECK_THROWS_AS(augment::noise(key, x, -1), ValueError);
  CHECK_THROWS_AS(augment::noise(key, x.to(i32), 1), TypeError);
  CHECK_THROWS_AS(augment::intensity(x.to(i32), 1, 0), TypeError);
  CHECK_THROWS_AS(augment::flip(numbered({2, 2}), 0), ValueError);
  CHECK_THROWS_AS(augment::flip(Tensor{}, 0), ValueError);
  CHECK_THROWS_AS(augment::random_noise(key, {}, 1), ValueError);
}

TEST_CASE("augment: noise and intensity have the requested statistics", "[data][augment]") {
  const Tensor x = Tensor::full({40, 50, 50}, 2);
  for (const DType dtype : {f32, f64}) {
    const auto values = augment::noise(random::key_of(3), x.to(dtype), 0.5).values();
    const auto n = static_cast<double>(values.size());
    double mean = 0, variance = 0, beyond = 0;
    for (const double v : values) mean += v / n;
    for (const double v : values) variance += (v - mean) * (v - mean) / n, beyond += std::abs(v - 2) > 1 ? 1 / n : 0;
    CHECK(mean == Approx(2).margin(5 * 0.5 / std::sqrt(n)));
    CHECK(variance == Approx(0.25).epsilon(5 * std::sqrt(2 / n)));
    CHECK(beyond == Approx(0.0455).epsilon(0.05));  // two standard deviations
  }
  double scale = 0, scale2 = 0, offset = 0, offset2 = 0;
  const int draws = 4000;
  for (int i = 0; i < draws; ++i) {
    const Tensor out = augment::random_intensity(random::fold_in(random::key_of(4), i),
                                                 {Tensor::of<float>({1, 1, 2}, {0, 1}), {}}, 0.2, 0.1)
                           .x;
    const double o = out.value_at(0), s = out.value_at(1) - o;
    scale += s / draws, scale2 += (s - 1) * (s - 1) / draws, offset += o / draws, offset2 += o * o / draws;
  }
  CHECK(scale == Approx(1).margin(0.016));
  CHECK(std::sqrt(scale2) == Approx(0.2).epsilon(0.06));
  CHECK(offset == Approx(0).margin(0.008));
  CHECK(std::sqrt(offset2) == Approx(0.1).epsilon(0.06));
}

TEST_CASE("augment and shapes: the same key gives the same bits on 1, 2 and 3 threads", "[data][augment]") {
  const auto results = on_threads([] {
    const auto k = random::split(random::key_of(9), 5);
    Sample s{numbered({33, 34, 35, 2}), numbered({33, 34, 35}, i32)};
    s = augment::random_shift(k[0], s, 3, augment::Edge::wrap);
    s = augment::random_flip(k[1], s, {0, 1, 2});
    s = augment::random_rotate90(k[2], s, {0, 1});
    s = augment::random_intensity(k[3], s, 0.1, 0.1);
    s = augment::random_noise(k[4], s, 0.1);
    const Volume m = block_mean({s.x, identity_affine}, {3, 2, 2});
    return std::vector<Tensor>{s.x, s.y, m.data, ShapesDataset({.count = 8, .size = 20}).get(5).x};
  });
  for (std::size_t thread = 1; thread < 3; ++thread)
    for (std::size_t i = 0; i < results[0].size(); ++i) CHECK(same_bits(results[thread][i], results[0][i]));
}

TEST_CASE("shapes: balanced, deterministic, within the grid", "[data][shapes]") {
  const ShapesDataset clean({.count = 80, .size = 24, .noise = 0, .seed = 1});
  CHECK(clean.size() == 80);
  std::set<std::vector<double>> seen;
  for (std::int64_t i = 0; i < 80; ++i) {
    const Sample s = clean.get(i);
    CAPTURE(i);
    REQUIRE(s.x.shape() == Shape{24, 24, 24, 1});
    CHECK(s.y.shape() == Shape{});
    CHECK(s.y.dtype() == i32);
    CHECK(s.y.item() == static_cast<double>(i % shape_kinds));
    CHECK(same_bits(s.x, clean.get(i).x));
    const auto values = s.x.values();
    const double inside = std::accumulate(values.begin(), values.end(), 0.0);
    CHECK(inside > 50);
    CHECK(inside < 0.5 * 24 * 24 * 24);
    seen.insert(values);
  }
  CHECK(seen.size() == 80);
  CHECK_FALSE(same_bits(ShapesDataset({.count = 1, .size = 24, .noise = 0, .seed = 2}).get(0).x, clean.get(0).x));
  const Tensor first = clean.get(0).x;
  const Sample noisy = ShapesDataset({.count = 1, .size = 24, .noise = 0.1, .seed = 1}).get(0);
  double difference = 0;
  for (std::int64_t i = 0; i < noisy.x.numel(); ++i) difference += std::pow(noisy.x.value_at(i) - first.value_at(i), 2);
  CHECK(std::sqrt(difference / static_cast<double>(noisy.x.numel())) == Approx(0.1).epsilon(0.05));
}

TEST_CASE("shapes: the kinds differ in volume or inertia in any pose", "[data][shapes]") {
  // Two numbers per kind that no pose changes: the fraction of the surrounding ball that the solid fills, and a measure
  // of how unequal its principal spreads are, from the trace and determinant of the covariance.
  std::vector<std::array<double, 2>> kinds;
  for (std::int64_t kind = 0; kind < shape_kinds; ++kind) {
    const Sample s =
        ShapesDataset({.count = 8, .size = 48, .smallest = 0.9, .largest = 0.9, .noise = 0, .seed = 4}).get(kind);
    double n = 0;
    std::array<double, 3> mean{};
    std::array<double, 9> square{};
    for (std::int64_t i = 0; i < s.x.numel(); ++i)
      if (s.x.data<float>()[i] > 0) {
        const std::array<double, 3> p = {static_cast<double>(i / (48 * 48)), static_cast<double>(i / 48 % 48),
                                         static_cast<double>(i % 48)};
        n += 1;
        for (std::size_t a = 0; a < 3; ++a) {
          mean[a] += p[a];
          for (std::size_t b = 0; b < 3; ++b) square[3 * a + b] += p[a] * p[b];
        }
      }
    std::array<double, 9> c{};
    for (std::size_t a = 0; a < 3; ++a)
      for (std::size_t b = 0; b < 3; ++b) c[3 * a + b] = square[3 * a + b] / n - mean[a] * mean[b] / (n * n);
    const double determinant =
        c[0] * (c[4] * c[8] - c[5] * c[7]) - c[1] * (c[3] * c[8] - c[5] * c[6]) + c[2] * (c[3] * c[7] - c[4] * c[6]);
    kinds.push_back({n / (4.18879 * std::pow(0.9 * 24, 3)), 27 * determinant / std::pow(c[0] + c[4] + c[8], 3)});
  }
  CHECK(kinds[0][0] == Approx(1).epsilon(0.02));            // sphere
  CHECK(kinds[1][0] == Approx(0.36755).epsilon(0.03));      // box: (2/sqrt 3)^3 / (4 pi / 3)
  CHECK(kinds[6][0] == Approx(1 / 3.14159).epsilon(0.03));  // octahedron: (4/3) / (4 pi / 3)
  for (std::size_t a = 0; a < kinds.size(); ++a)
    for (std::size_t b = a + 1; b < kinds.size(); ++b) {
      CAPTURE(a, b, kinds[a][0], kinds[b][0], kinds[a][1], kinds[b][1]);
      CHECK(std::abs(kinds[a][0] - kinds[b][0]) + std::abs(kinds[a][1] - kinds[b][1]) > 0.03);
    }
  CHECK(shape_name(4) == "torus");
  CHECK_THROWS_AS(shape_name(8), ValueError);
  CHECK_THROWS_AS(ShapesDataset({.count = -1}), ValueError);
  CHECK_THROWS_AS(ShapesDataset({.size = 4}), ValueError);
  CHECK_THROWS_AS(ShapesDataset({.smallest = 0.9, .largest = 0.5}), ValueError);
  CHECK_THROWS_AS(ShapesDataset({.noise = -1}), ValueError);
  CHECK_THROWS_AS(ShapesDataset({.count = 3}).get(3), ValueError);
}
