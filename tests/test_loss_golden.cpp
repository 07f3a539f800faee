// The losses against PyTorch: every file tests/golden/layers/loss_*.json, value and gradient, in f64 and f32.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "framework/ops/elementwise.hpp"
#include "framework/ops/loss.hpp"
#include "framework/ops/reduce.hpp"
#include "support/golden.hpp"

namespace {

using nlohmann::json;

vg::CrossEntropyOptions cross_entropy_options(const json& file) {
  vg::CrossEntropyOptions options;
  const json& config = file["config"];
  if (config.contains("ignore_index")) options.ignore_index = config["ignore_index"].get<std::int32_t>();
  if (config.contains("label_smoothing")) options.label_smoothing = config["label_smoothing"].get<double>();
  if (file["inputs"].contains("class_weights"))
    options.weight = golden::tensor(file["inputs"]["class_weights"], vg::f64).values();
  return options;
}

// The loss that the file names.
vg::Variable loss_of(const json& file, const vg::Variable& x) {
  const json& config = file["config"];
  const std::string layer = file["layer"];
  const vg::Tensor labels = golden::optional_tensor(file["inputs"], "labels", x.dtype());
  const vg::Tensor target = golden::optional_tensor(file["inputs"], "target", x.dtype());
  const vg::Tensor pos_weight = golden::optional_tensor(file["inputs"], "pos_weight", x.dtype());
  const vg::DiceOptions dice{.include_background = config.value("include_background", false),
                             .eps = config.value("eps", 1e-5)};
  if (layer == "cross_entropy") return vg::cross_entropy(x, labels, cross_entropy_options(file));
  if (layer == "dice") return vg::soft_dice_loss(x, labels, dice);
  if (layer == "dice_cross_entropy") return vg::dice_cross_entropy(x, labels, {}, dice);
  if (layer == "mse") return vg::mse_loss(x, target);
  if (layer == "l1") return vg::l1_loss(x, target);
  if (layer == "binary_cross_entropy_with_logits")
    return pos_weight.defined() ? vg::bce_with_logits(x, target, pos_weight) : vg::bce_with_logits(x, target);
  throw std::runtime_error("no loss is called " + layer);
}

void replay(const json& file, vg::DType dtype, double tolerance) {
  const vg::Variable x(golden::tensor(file["inputs"]["x"], dtype), true);
  const vg::Variable loss = loss_of(file, x);
  CHECK(golden::error(loss.value(), golden::tensor(file["output"], dtype)) < tolerance);
  loss.backward(golden::tensor(file["grad_output"], dtype));
  CHECK(golden::error(x.grad().value(), golden::tensor(file["grads"]["x"], dtype)) < tolerance);
}

}  // namespace

TEST_CASE("losses: values and gradients are PyTorch's", "[loss]") {
  int replayed = 0;
  std::vector<std::string> left_out;
  for (const auto& path : golden::files_in(golden::path_of("layers"))) {
    if (!path.filename().string().starts_with("loss_")) continue;
    const json file = golden::read(path);
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
  CHECK(replayed == 19);
  CHECK(left_out == std::vector<std::string>{"loss_cross_entropy_none", "loss_cross_entropy_sum"});
}

TEST_CASE("bce_with_logits: a weight for each class is checked", "[loss]") {
  const vg::Tensor x = vg::Tensor::zeros({2, 3});
  CHECK_THROWS_WITH(vg::bce_with_logits(x, x, vg::Tensor::ones({2})), Catch::Contains("pos_weight: got f32 (2,)"));
  CHECK_THROWS_WITH(vg::bce_with_logits(x, x, vg::Tensor::ones({3}, vg::f64)), Catch::Contains("pos_weight: got f64"));
  CHECK_THROWS_WITH(vg::bce_with_logits(x, x, vg::Tensor::full({3}, -1)), Catch::Contains("pos_weight: got -1"));
}
