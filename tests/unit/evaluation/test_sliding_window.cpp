// Sliding windows: comparison with MONAI, inputs of the model, flips, memory, and errors.
#include "voxgrad/evaluation/sliding_window.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "support/golden.hpp"
#include "support/message_of.hpp"
#include "support/plain.hpp"
#include "support/threads_guard.hpp"
#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/ops/ops.hpp"
#include "voxgrad/layers/layers.hpp"

using namespace vg;
using namespace vg::test;
using Catch::Matchers::Contains;

namespace {

SlidingWindowOptions options_of(const nlohmann::json& c) {
  SlidingWindowOptions o;
  for (std::size_t a = 0; a < 3; ++a) o.window[a] = c["window"][a];
  o.batch_size = c["batch_size"];
  o.overlap = c["overlap"];
  o.blending = c["blending"] == "constant" ? Blending::constant : Blending::gaussian;
  o.sigma_scale = c["sigma_scale"];
  o.pad_value = c["pad_value"];
  o.flips = c["flips"].get<std::vector<int>>();
  return o;
}

// The predictor of make_golden_evaluation.py: two channels that depend on the position in the window.
Variable predictor(const Variable& x) {
  const std::vector<std::int64_t> s = x.shape().vec();
  const Tensor place = vg::test::build({1, s[1], s[2], s[3], 1}, [](const vg::test::Index& i) {
    return static_cast<double>(1 + i[1] + 2 * i[2] + 3 * i[3]);
  });
  const Variable front = slice(x, 4, {0, 1}), back = slice(x, 4, {s[4] - 1, s[4]});
  return concat({front * Variable(place.to(x.dtype())) + back, (back - mean(x, {1, 2, 3, 4}, true)) * front}, 4);
}

// A convolution after dropout and batch normalisation: in training mode it would change and give other numbers.
Sequential small_net() {
  random::seed(3);
  return Sequential(Conv3d({.in_size = {dynamic, dynamic, dynamic, 2}, .out_channels = 3, .kernel_size = 3}),
                    BatchNorm3d({.in_size = {dynamic, dynamic, dynamic, 3}}), Dropout({.keep_prob = 0.5}));
}

}  // namespace

TEST_CASE("sliding_window: numbers are MONAI's", "[sliding_window]") {
  const nlohmann::json file = golden::read(golden::path_of("evaluation/sliding_window.json"));
  REQUIRE(file["cases"].size() == 9);
  for (const nlohmann::json& c : file["cases"])
    for (DType dtype : {f64, f32}) {
      INFO(c["window"] << ' ' << c["overlap"] << ' ' << c["flips"] << ' ' << name_of(dtype));
      const Tensor x = golden::tensor(c["input"], dtype), want = golden::tensor(c["output"], dtype);
      // MONAI computes its Gaussian in float32.
      const double tolerance = dtype == f64 && c["blending"] == "constant" ? 1e-12 : 3e-6;
      for (int threads : {1, 3}) {
        const vg::test::ThreadsGuard scope(threads);
        CHECK(golden::error(sliding_window(predictor, x, options_of(c)), want) < tolerance);
      }
    }
}

TEST_CASE("sliding_window: the same bits for any number of threads and windows at a time", "[sliding_window]") {
  const Tensor x = vg::test::numbers({2, 17, 13, 11, 2}, f32, 1);
  SlidingWindowOptions o{.window = {8, 8, 8}, .overlap = 0.6};
  const Tensor want = sliding_window(predictor, x, o);
  CHECK(want.shape() == Shape{2, 17, 13, 11, 2});
  for (int threads : {1, 2, 5})
    for (std::int64_t batch : {1, 3, 1000}) {
      const vg::test::ThreadsGuard scope(threads);
      o.batch_size = batch;
      CHECK(vg::test::same_bits(sliding_window(predictor, x, o), want));
    }
}

TEST_CASE("sliding_window: one window is the model itself; a sample needs no batch axis", "[sliding_window]") {
  Sequential net = small_net();
  const Tensor x = vg::test::numbers({1, 9, 8, 7, 2}, f64, 2);
  net.to(f64);
  const Tensor want = net(x).value();
  for (std::int64_t whole : {std::int64_t{0}, dynamic})
    CHECK(vg::test::distance(sliding_window(net, x, {.window = {whole, whole, whole}}), want) < 1e-12);
  const Tensor y = sliding_window(net, x.reshape({9, 8, 7, 2}), {.window = {9, dynamic, 7}});
  CHECK(y.shape() == Shape{9, 8, 7, 3});
  CHECK(vg::test::distance(y.reshape({1, 9, 8, 7, 3}), want) < 1e-12);
}

TEST_CASE("sliding_window: evaluation mode, nothing is recorded, and the old modes are restored", "[sliding_window]") {
  Sequential net = small_net();
  net.train();
  net[1].eval();  // must stay in evaluation mode
  const Tensor x = vg::test::numbers({1, 8, 8, 8, 2}, f32, 4);
  const std::vector<double> statistics = net.states().at("layers.1.running_mean")["value"].value().values();
  bool recorded = false, trained = false;
  const auto watch = [&](std::int64_t, std::int64_t) {
    recorded = recorded || recording();
    trained = trained || net.training();
  };
  const Tensor y = sliding_window(net, x, {.window = {4, 4, 4}, .progress = watch});
  CHECK_FALSE(recorded);
  CHECK_FALSE(trained);
  CHECK(recording());
  CHECK(net.states().at("layers.1.running_mean")["value"].value().values() == statistics);
  CHECK(net.training());
  CHECK_FALSE(net[1].training());
  CHECK(vg::test::same_bits(sliding_window(net, x, {.window = {4, 4, 4}}), y));  // no dropout, no new statistics
  const auto stop = [](std::int64_t, std::int64_t) { throw std::runtime_error("enough"); };
  CHECK_THROWS_WITH(sliding_window(net, x, {.window = {4, 4, 4}, .progress = stop}), "enough");
  CHECK(net.training());
  CHECK(recording());
}

TEST_CASE("sliding_window: every window comes once, in order, padded in the middle", "[sliding_window]") {
  const Tensor x = Tensor::ones({2, 3, 10, 4, 1});
  std::vector<std::pair<std::int64_t, std::int64_t>> told;
  std::int64_t seen = 0, most = 0;
  double least = 1;
  const auto count = [&](const Variable& w) {
    CHECK(w.shape() == Shape{w.dim(0), 6, 4, 4, 1});
    seen += w.dim(0);
    most = std::max(most, w.dim(0));
    // Of 6 rows three belong to the volume; 1 row is before them and 2 are after them.
    for (std::int64_t row = 0; row < 6; ++row)
      CHECK(vg::test::at(w.value(), {0, row, 0, 0, 0}) == (row > 0 && row < 4 ? 1 : -7));
    least = std::min(least, min(w).item());
    return w;
  };
  const Tensor y =
      sliding_window(count, x,
                     {.window = {6, 4, 4},
                      .batch_size = 4,
                      .overlap = 0.5,
                      .pad_value = -7,
                      .progress = [&](std::int64_t done, std::int64_t all) { told.emplace_back(done, all); }});
  CHECK(seen == 8);  // starts 0, 2, 4, 6 along W, for two samples
  CHECK(most == 4);
  CHECK(least == -7);
  CHECK(told == std::vector<std::pair<std::int64_t, std::int64_t>>{{4, 8}, {8, 8}});
  CHECK(vg::test::distance(y, x) < 1e-6);  // the padding is removed again
}

TEST_CASE("sliding_window: the results of the function are not changed, also with flips", "[sliding_window]") {
  const Tensor x = vg::test::numbers({1, 6, 5, 4, 1}, f32, 6);
  const SlidingWindowOptions o{.window = {4, 4, 4}, .overlap = 0.5, .flips = {0, 1, 2}};
  const auto same = [](const Variable& v) { return v; };
  CHECK(vg::test::distance(sliding_window(same, x, o), x) < 1e-6);
  // The function returns the same tensor each time, so the mean over flips is symmetric.
  const Variable own(vg::test::numbered({1, 4, 4, 4, 1}));
  const auto answer = [&](const Variable&) { return own; };
  const Tensor y = sliding_window(answer, x, o);
  CHECK(vg::test::same_bits(own.value(), vg::test::numbered({1, 4, 4, 4, 1})));
  CHECK(vg::test::distance(y, Tensor::full({1, 6, 5, 4, 1}, 31.5)) < 1e-6);
}

TEST_CASE("sliding_window: memory does not grow with the number of windows", "[sliding_window]") {
  const auto three = [](const Variable& w) { return concat({w, w * 2.0, w * 3.0}, 4); };
  const Tensor x = vg::test::numbers({1, 40, 40, 40, 1}, f32, 5);
  const std::int64_t voxel = size_of(f32), window = 16 * 16 * 16 * voxel, batch = 2;
  for (const std::vector<int>& flips : {std::vector<int>{}, std::vector<int>{0, 2}})
    for (double overlap : {0.25, 0.8}) {  // 27 windows and 729
      std::int64_t windows = 0;
      memory::reset_peak();
      const std::int64_t before = memory::stats().in_use;
      sliding_window(three, x,
                     {.window = {16, 16, 16},
                      .batch_size = batch,
                      .overlap = overlap,
                      .flips = flips,
                      .progress = [&](std::int64_t, std::int64_t all) { windows = all; }});
      CHECK(windows == (overlap == 0.25 ? 27 : 729));
      // The result (3), the sums of weights (1) and the weights of a window. Per batch there are the windows (1,
      // flipped 1), the outputs (3, flipped 3, flipped back 3) and the temporaries of `three` (2). The pool rounds up
      // by at most an eighth.
      const std::int64_t live = flips.empty() ? 1 + 3 + 2 : 2 + 9 + 2;
      const std::int64_t bound = 4 * x.numel() * voxel + window + live * batch * window;
      CHECK(memory::stats().peak - before <= bound + bound / 8);
    }
}

TEST_CASE("sliding_window: bad arguments are refused", "[sliding_window]") {
  const Tensor x = Tensor::ones({1, 4, 4, 4, 1});
  const auto same = [](const Variable& v) { return v; };
  const auto message = [&](const SlidingWindowOptions& o) {
    return ::test::message_of([&] { sliding_window(same, x, o); });
  };
  CHECK_THAT(message({.window = {4, -2, 4}}),
             Contains("[sliding_window] window: got -2; every entry must be at least 1"));
  CHECK_THAT(message({.batch_size = 0}), Contains("batch_size: got 0; must be at least 1"));
  CHECK_THAT(message({.overlap = 1}), Contains("overlap: got 1; must be in [0, 1)"));
  CHECK_THAT(message({.overlap = std::nan("")}), Contains("overlap: got nan"));
  CHECK_THAT(message({.sigma_scale = 0}), Contains("sigma_scale: got 0; must be finite and greater than 0"));
  CHECK_THAT(message({.flips = {3}}), Contains("flips: got axis 3; must be 0, 1 or 2"));
  CHECK_THAT(message({.flips = {1, 1}}), Contains("flips: got axis 1 twice"));
  CHECK_THROWS_WITH(sliding_window(same, Tensor(), {}), Contains("volume: the tensor is undefined"));
  CHECK_THROWS_WITH(sliding_window(same, Tensor::ones({4, 4, 4}), {}), Contains("volume: got shape (4, 4, 4)"));
  CHECK_THROWS_WITH(sliding_window(same, Tensor({1, 4, 0, 4, 1}), {}), Contains("every extent at least 1"));
  CHECK_THROWS_AS(sliding_window(same, Tensor::ones({1, 4, 4, 4, 1}, i32), {}), TypeError);
  CHECK_THROWS_WITH(sliding_window(std::function<Variable(const Variable&)>(), x, {}), Contains("empty function"));
  const auto halved = [](const Variable& v) { return slice(v, 1, {0, 2}); };
  CHECK_THROWS_WITH(sliding_window(halved, x, {}),
                    Contains("got (1, 2, 4, 4, 1) for windows (1, 4, 4, 4, 1); must have their extents"));
  const auto pooled = [](const Variable& v) { return mean(v, {1, 2, 3}); };
  CHECK_THROWS_WITH(sliding_window(pooled, x, {}), Contains("got (1, 1) for windows"));
  int calls = 0;
  const auto fickle = [&](const Variable& v) { return ++calls < 3 ? v : concat({v, v}, 4); };
  CHECK_THROWS_WITH(sliding_window(fickle, x, {.window = {2, 4, 4}, .overlap = 0.5}),
                    Contains("the same number of channels"));
  const auto widening = [&, n = 0](const Variable& v) mutable { return n++ == 0 ? v : cast(v, f64); };
  CHECK_THROWS_AS(sliding_window(widening, x, {.window = {2, 4, 4}}), TypeError);
}
