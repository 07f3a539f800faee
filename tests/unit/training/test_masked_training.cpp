// Half of the volume has a fill value, and the loss is computed where no output depends on it. The losses are those of
// the direct kernels for any fill value.
#include <catch2/catch.hpp>
#include <cmath>
#include <string>
#include <vector>

#include "voxgrad/framework/base/random.hpp"
#include "voxgrad/framework/kernels/algorithm.hpp"
#include "voxgrad/framework/ops/ops.hpp"
#include "voxgrad/layers/layers.hpp"
#include "voxgrad/optim/optim.hpp"

using namespace vg;

namespace {

constexpr std::int64_t size = 14, channels = 8, filled_from = 7, seen_to = 5;  // two kernels reach two voxels

/// Numbers in [-1, 1), and `fill` from plane filled_from on along H.
Tensor volume(double fill) {
  std::vector<float> v(static_cast<std::size_t>(size * size * size * channels));
  std::uint64_t state = 1;
  for (std::size_t i = 0; i < v.size(); ++i) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    v[i] = static_cast<float>(static_cast<double>(state >> 11) * 0x1p-52 - 1.0);
    if (static_cast<std::int64_t>(i) / (size * size * channels) >= filled_from) v[i] = static_cast<float>(fill);
  }
  return Tensor::of({1, size, size, size, channels}, v);
}

std::vector<double> losses_with(const std::string& algorithm, double fill, int steps) {
  const Conv3dAlgorithmGuard scope(algorithm);
  random::seed(1);
  Sequential net(Conv3d({.in_size = {size, size, size, channels}, .out_channels = channels, .kernel_size = 3}), ReLU(),
                 Conv3d({.in_size = {size, size, size, channels}, .out_channels = channels, .kernel_size = 3}));
  SGD sgd(net.parameters(), {.lr = 0.05});
  const Variable x = volume(fill), target = volume(0);
  std::vector<double> losses;
  for (int step = 0; step < steps; ++step) {
    sgd.zero_grad();
    const Variable loss = mse_loss(slice(net(x), 1, {0, seen_to}), slice(target, 1, {0, seen_to}));
    loss.backward();
    sgd.step();
    losses.push_back(loss.value().item());
  }
  return losses;
}

}  // namespace

TEST_CASE("masked training: losses are those of the direct kernels for any values in the masked half",
          "[conv3d][large-values]") {
  const double fill = GENERATE(1e20, 9.97e36);
  const std::vector<double> direct = losses_with("direct", fill, 60);
  CHECK(direct.back() < direct.front());
  for (const char* const algorithm : {"auto", "winograd", "winograd4", "winograd4x4x4"}) {
    INFO(algorithm << " fill " << fill);
    const std::vector<double> losses = losses_with(algorithm, fill, 60);
    for (std::size_t i = 0; i < losses.size(); ++i) {
      INFO("step " << i << ": " << losses[i] << ", direct " << direct[i]);
      CHECK(std::abs(losses[i] - direct[i]) <= 1e-4 * direct[i]);
    }
  }
}
