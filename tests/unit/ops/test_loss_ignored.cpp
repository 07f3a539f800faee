// Losses over class volumes with ignored labels: compares recorded gradients with plain ones.
#include <catch2/catch.hpp>
#include <cmath>
#include <functional>
#include <string>

#include "support/plain.hpp"
#include "voxgrad/framework/ops/ops.hpp"

using namespace vg;

TEST_CASE("losses: if every label is ignored, a recorded gradient is 0, like the plain one", "[loss]") {
  static constexpr std::int32_t out = -1;
  using Loss = std::function<Variable(const Variable&, const Tensor&)>;
  const std::vector<std::pair<std::string, Loss>> losses{
      {"cross_entropy", [](auto& z, auto& y) { return cross_entropy(z, y, {.ignore_index = out}); }},
      {"smoothed",
       [](auto& z, auto& y) {
         return cross_entropy(z, y, {.weight = {1, 2, 3}, .ignore_index = out, .label_smoothing = 0.2});
       }},
      {"dice_cross_entropy", [](auto& z, auto& y) { return dice_cross_entropy(z, y, {.ignore_index = out}); }},
      {"dice_cross_entropy, eps 0",
       [](auto& z, auto& y) { return dice_cross_entropy(z, y, {.ignore_index = out}, {.eps = 0}); }},
      {"focal_loss", [](auto& z, auto& y) { return focal_loss(z, y, {.ignore_index = out}); }},
      {"focal_loss, gamma 0", [](auto& z, auto& y) { return focal_loss(z, y, {.gamma = 0, .ignore_index = out}); }},
      {"tversky_loss", [](auto& z, auto& y) { return tversky_loss(z, y, {.ignore_index = out}); }},
      {"tversky_loss, smooth_dr 0",
       [](auto& z, auto& y) { return tversky_loss(z, y, {.smooth_dr = 0, .ignore_index = out}); }}};
  for (const auto& [name, loss] : losses)
    for (const bool nan : {false, true}) {  // ignored logits may be anything
      INFO(name << (nan ? ", NaN" : ""));
      Tensor z = vg::test::numbers({2, 4, 3}, f64, 3);
      if (nan) z.data<double>()[7] = std::nan("");
      const Variable x(z, true);
      const Variable y = loss(x, Tensor::full({2, 4}, out, i32));
      const Variable plain = gradients(y, {x}, {.retain_graph = true})[0];
      const Variable first = gradients(y, {x}, {.create_graph = true})[0];
      CHECK(plain.value().values() == std::vector<double>(24, 0.0));
      CHECK(first.value().values() == std::vector<double>(24, 0.0));
      CHECK(gradients(sum(square(first)), {x})[0].value().values() == std::vector<double>(24, 0.0));
    }
}

TEST_CASE("losses: an ignored NaN does not reach recorded gradients, either", "[loss]") {
  const Tensor labels = Tensor::of<std::int32_t>({2, 4}, {0, 2, -1, 1, -1, -1, -1, -1});
  Tensor z = vg::test::numbers({2, 4, 3}, f64, 3);
  for (const int at : {6, 13}) z.data<double>()[at] = std::nan("");  // at ignored positions
  const std::vector<std::function<Variable(const Variable&)>> losses{
      [&](auto& x) { return cross_entropy(x, labels, {.ignore_index = -1, .label_smoothing = 0.1}); },
      [&](auto& x) { return dice_cross_entropy(x, labels, {.ignore_index = -1}); },
      [&](auto& x) { return focal_loss(x, labels, {.ignore_index = -1}); },
      [&](auto& x) { return tversky_loss(x, labels, {.ignore_index = -1}); },
      // the second sample has no weight
      [&](auto& x) { return tversky_loss(x, labels, {.smooth_dr = 1e-300, .batch = false, .ignore_index = -1}); }};
  for (std::size_t i = 0; i < losses.size(); ++i) {
    INFO(i);
    const Variable x(z, true);
    const Variable y = losses[i](x);
    const Tensor plain = gradients(y, {x}, {.retain_graph = true})[0].value();
    const Variable first = gradients(y, {x}, {.create_graph = true})[0];
    CHECK(vg::test::distance(plain, first.value()) < 1e-12);
    for (const double g : gradients(sum(square(first)), {x})[0].value().values()) CHECK(std::isfinite(g));
  }
}
