// Compares the losses with PyTorch and MONAI: value and gradient of every file tests/golden/layers/loss_*.json, in f64
// and f32.
#include <catch2/catch.hpp>
#include <cmath>
#include <nlohmann/json.hpp>

#include "support/golden.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/framework/ops/loss.hpp"
#include "voxgrad/framework/ops/reduce.hpp"

namespace {

using nlohmann::json;

vg::CrossEntropyOptions cross_entropy_options(const json& file) {
  vg::CrossEntropyOptions options;
  const json& config = file["config"];
  if (config.contains("ignore_index")) options.ignore_index = config["ignore_index"].get<std::int32_t>();
  if (config.contains("label_smoothing")) options.label_smoothing = config["label_smoothing"].get<double>();
  if (file["inputs"].contains("class_weights"))
    options.weight = vg::test::golden::tensor(file["inputs"]["class_weights"], vg::f64).values();
  return options;
}

vg::FocalOptions focal_options(const json& config) {
  vg::FocalOptions options{.gamma = config["gamma"], .ignore_index = config["ignore_index"].get<std::int32_t>()};
  if (config.contains("alpha")) options.alpha = config["alpha"].get<std::vector<double>>();
  return options;
}

vg::TverskyOptions tversky_options(const json& config) {
  return {.alpha = config["alpha"],
          .beta = config["beta"],
          .include_background = config["include_background"],
          .smooth_nr = config["smooth_nr"],
          .smooth_dr = config["smooth_dr"],
          .batch = config["batch"]};
}

// The loss that the file names.
vg::Variable loss_of(const json& file, const vg::Variable& x) {
  const json& config = file["config"];
  const std::string layer = file["layer"];
  const vg::Tensor labels = vg::test::golden::optional_tensor(file["inputs"], "labels", x.dtype());
  const vg::Tensor target = vg::test::golden::optional_tensor(file["inputs"], "target", x.dtype());
  const vg::Tensor pos_weight = vg::test::golden::optional_tensor(file["inputs"], "pos_weight", x.dtype());
  const vg::DiceOptions dice{.include_background = config.value("include_background", false),
                             .eps = config.value("eps", 1e-5)};
  if (layer == "cross_entropy") return vg::cross_entropy(x, labels, cross_entropy_options(file));
  if (layer == "dice") return vg::soft_dice_loss(x, labels, dice);
  if (layer == "dice_cross_entropy") return vg::dice_cross_entropy(x, labels, {}, dice);
  if (layer == "focal") return vg::focal_loss(x, labels, focal_options(config));
  if (layer == "sigmoid_focal") return vg::sigmoid_focal_loss(x, target, config["alpha"], config["gamma"]);
  if (layer == "tversky") return vg::tversky_loss(x, labels, tversky_options(config));
  if (layer == "mse") return vg::mse_loss(x, target);
  if (layer == "l1") return vg::l1_loss(x, target);
  if (layer == "binary_cross_entropy_with_logits")
    return pos_weight.defined() ? vg::bce_with_logits(x, target, pos_weight) : vg::bce_with_logits(x, target);
  throw std::runtime_error("no loss is called " + layer);
}

void replay(const json& file, vg::DType dtype, double tolerance) {
  const vg::Variable x(vg::test::golden::tensor(file["inputs"]["x"], dtype), true);
  const vg::Variable loss = loss_of(file, x);
  CHECK(vg::test::golden::error(loss.value(), vg::test::golden::tensor(file["output"], dtype)) < tolerance);
  loss.backward(vg::test::golden::tensor(file["grad_output"], dtype));
  CHECK(vg::test::golden::error(x.grad().value(), vg::test::golden::tensor(file["grads"]["x"], dtype)) < tolerance);
}

}  // namespace

TEST_CASE("losses: values and gradients are PyTorch's and MONAI's", "[loss]") {
  int replayed = 0;
  std::vector<std::string> left_out;
  for (const auto& path : vg::test::golden::files_in(vg::test::golden::path_of("layers"))) {
    if (!path.filename().string().starts_with("loss_")) continue;
    const json file = vg::test::golden::read(path);
    const std::string name = file["name"];
    INFO(name);
    if (file["config"].value("reduction", "mean") != "mean") {
      left_out.push_back(name);
      continue;
    }
    replay(file, vg::f64, 1e-11);
    replay(file, vg::f32, 1e-5);
    ++replayed;
  }
  CHECK(replayed == 32);
  CHECK(left_out == std::vector<std::string>{"loss_cross_entropy_none", "loss_cross_entropy_sum"});
}

TEST_CASE("bce_with_logits: a weight for each class is checked", "[loss]") {
  const vg::Tensor x = vg::Tensor::zeros({2, 3});
  CHECK_THROWS_WITH(vg::bce_with_logits(x, x, vg::Tensor::ones({2})), Catch::Contains("pos_weight: got f32 (2,)"));
  CHECK_THROWS_WITH(vg::bce_with_logits(x, x, vg::Tensor::ones({3}, vg::f64)), Catch::Contains("pos_weight: got f64"));
  CHECK_THROWS_WITH(vg::bce_with_logits(x, x, vg::Tensor::full({3}, -1)), Catch::Contains("pos_weight: got -1"));
}

TEST_CASE("focal and Tversky losses: special cases are other losses", "[loss]") {
  const vg::Tensor labels = vg::Tensor::of<std::int32_t>({2, 3}, {0, 2, 1, 2, -1, 0});
  const std::vector<double> weight{0.5, 2, 1};
  for (vg::DType dtype : {vg::f64, vg::f32}) {
    const double tolerance = dtype == vg::f64 ? 1e-14 : 1e-6;
    const vg::Variable z(vg::test::golden::tensor(
        {{"shape", {2, 3, 3}}, {"data", {1, -2, 3, 0, 1, 2, -1, 0, 4, 2, 2, -3, 0.5, 1.5, -1, 3, -3, 0}}}, dtype));
    CHECK(vg::focal_loss(z, labels, {.gamma = 0, .ignore_index = -1}).item() ==
          Approx(vg::cross_entropy(z, labels, {.ignore_index = -1}).item() / 3).epsilon(tolerance));
    const vg::Tensor all = vg::Tensor::of<std::int32_t>({2, 3}, {0, 2, 1, 2, 1, 0});
    CHECK(vg::tversky_loss(z, all, {.smooth_nr = 0, .smooth_dr = 0.5e-5}).item() ==
          Approx(vg::soft_dice_loss(z, all).item()).epsilon(tolerance));
    CHECK(
        vg::tversky_loss(z, labels, {.include_background = true, .smooth_nr = 0, .smooth_dr = 0, .ignore_index = -1})
            .item() ==
        Approx(vg::dice_cross_entropy(z, labels, {.ignore_index = -1}, {.include_background = true, .eps = 0}).item() -
               vg::cross_entropy(z, labels, {.ignore_index = -1}).item())
            .epsilon(10 * tolerance));
  }
}

TEST_CASE("focal and Tversky losses: NaN, ignored positions and far logits", "[loss]") {
  const double nan = std::nan("");
  const vg::Tensor labels = vg::Tensor::of<std::int32_t>({3}, {0, -1, 1});
  for (double gamma : {0.0, 0.5, 1.0, 2.0, 3.7}) {
    const vg::FocalOptions focal{.gamma = gamma, .ignore_index = -1};
    const auto grads_of = [&](std::initializer_list<double> logits, bool tversky) {
      const vg::Variable z(vg::Tensor::of({3, 2}, logits).to(vg::f32), true);
      const vg::Variable loss =
          tversky ? vg::tversky_loss(z, labels, {.ignore_index = -1}) : vg::focal_loss(z, labels, focal);
      loss.backward();
      std::vector<double> all = z.grad().value().values();
      all.push_back(loss.item());
      return all;
    };
    for (bool tversky : {false, true}) {
      for (double v : grads_of({1, 2, nan, nan, 0.5, 0}, tversky)) CHECK(std::isfinite(v));
      CHECK(std::isnan(grads_of({1, nan, 0, 0, 0.5, 0}, tversky).back()));
      CHECK(std::isnan(grads_of({1, nan, 0, 0, 0.5, 0}, tversky)[0]));
    }
    // The first logits are wrong by 2e4, the last are right by 2e4.
    const std::vector<double> far = grads_of({-1e4, 1e4, 0, 0, -1e4, 1e4}, false);
    CHECK(far.back() == Approx(2e4 / 4));
    CHECK(far[0] == Approx(-0.25));
    CHECK(far[1] == Approx(0.25));
    CHECK(far[4] == 0);
    CHECK(far[5] == 0);
  }
  CHECK(std::isnan(
      vg::focal_loss(vg::Tensor::ones({1, 2}), vg::Tensor::full({1}, -1, vg::i32), {.ignore_index = -1}).item()));
}

TEST_CASE("focal and Tversky losses: bad arguments are refused", "[loss]") {
  const vg::Tensor z = vg::Tensor::zeros({2, 3}), y = vg::Tensor::zeros({2}, vg::i32);
  CHECK_THROWS_WITH(vg::focal_loss(z, y, {.gamma = -1}), Catch::Contains("[focal_loss] gamma: got -1"));
  CHECK_THROWS_WITH(vg::focal_loss(z, y, {.alpha = {1, 2}}),
                    Catch::Contains("[focal_loss] alpha: got 2 entries; must be one for each of the 3 classes"));
  CHECK_THROWS_WITH(vg::focal_loss(z, y, {.alpha = {1, 2, -1}}), Catch::Contains("[focal_loss] alpha: got -1"));
  CHECK_THROWS_WITH(vg::focal_loss(z, vg::Tensor::full({2}, 3, vg::i32)),
                    Catch::Contains("[focal_loss] labels: got 3 at (0,); must be in [0, 3)"));
  CHECK_THROWS_WITH(vg::focal_loss(z, vg::Tensor::zeros({3}, vg::i32)),
                    Catch::Contains("labels: got shape (3,); must be (2,)"));
  CHECK_THROWS_AS(vg::focal_loss(z, vg::Tensor::zeros({2})), vg::TypeError);
  CHECK_THROWS_WITH(vg::tversky_loss(z, y, {.alpha = -1}), Catch::Contains("[tversky_loss] alpha: got -1"));
  CHECK_THROWS_WITH(vg::tversky_loss(z, y, {.smooth_dr = std::nan("")}),
                    Catch::Contains("[tversky_loss] smooth_dr: got nan"));
  CHECK_THROWS_WITH(vg::tversky_loss(vg::Tensor::zeros({2, 1}), y),
                    Catch::Contains("must be at least 2, or set include_background"));
  CHECK_THROWS_WITH(vg::tversky_loss(z, vg::Tensor::full({2}, -5, vg::i32), {.ignore_index = -4}),
                    Catch::Contains("got -5 at (0,); must be in [0, 3) or ignore_index, -4"));
  CHECK_THROWS_WITH(vg::sigmoid_focal_loss(z, z, 1.5), Catch::Contains("[sigmoid_focal_loss] alpha: got 1.5"));
  CHECK_THROWS_WITH(vg::sigmoid_focal_loss(z, vg::Tensor::zeros({3, 2})),
                    Catch::Contains("[sigmoid_focal_loss] target: got shape (3, 2)"));
}
