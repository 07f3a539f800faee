// Data from and to xtensor: an expression becomes a volume, and a result is read as an array.
#include <cmath>
#include <cstdio>
#include <voxgrad/voxgrad.hpp>
#include <voxgrad/xtensor.hpp>
#include <xtensor/xbuilder.hpp>
#include <xtensor/xmath.hpp>
#include <xtensor/xrandom.hpp>
#include <xtensor/xview.hpp>

int main() {
  // Two waves with noise, (samples, H, W, D, 1): an expression that is evaluated once, into the tensor.
  const std::size_t samples = 8, n = 8;
  xt::random::seed(7);
  const xt::xarray<float> phase =
      xt::linspace<float>(0, 6, samples)
          .reshape({samples, std::size_t{1}, std::size_t{1}, std::size_t{1}, std::size_t{1}});
  const xt::xarray<float> place =
      xt::arange<float>(n).reshape({std::size_t{1}, n, std::size_t{1}, std::size_t{1}, std::size_t{1}});
  const xt::xarray<float> clean = xt::sin(place + phase) * xt::ones<float>({samples, n, n, n, std::size_t{1}});
  const xt::xarray<float> noise = xt::random::randn<float>({samples, n, n, n, std::size_t{1}}, 0.f, 0.5f);
  const vg::Tensor target = vg::Tensor::from(clean), noisy = vg::Tensor::from(clean + noise);

  vg::random::seed(0);
  vg::Sequential model(vg::Conv3d({.in_size = {8, 8, 8, 1}, .out_channels = 8, .kernel_size = 3}), vg::ReLU(),
                       vg::Conv3d({.out_channels = 1, .kernel_size = 3}));
  vg::Adam optimizer(model.parameters(), {.lr = 1e-2});
  model.train();
  for (int step = 0; step < 60; ++step) {
    vg::mse_loss(model(noisy), target).backward();
    optimizer.step();
    optimizer.zero_grad();
  }

  model.eval();
  const vg::Tensor result = model(noisy).value();
  const auto denoised = result.array<float>();  // no copy: the tensor's own memory
  const double before = xt::mean(xt::square(noise))(), after = xt::mean(xt::square(denoised - clean))();
  const double first = xt::amax(xt::abs(xt::view(denoised, 0) - xt::view(clean, 0)))();
  std::printf("mean squared error %.4f -> %.4f, largest in the first sample %.3f\n", before, after, first);

  // In place, and back into an array of xtensor.
  vg::Tensor weight = vg::Tensor::zeros({2, 3});
  weight.array<float>() = xt::arange<float>(6).reshape({2, 3}) * 2.f;
  const xt::xarray<float> copy = weight.array<float>();
  return after < before / 2 && std::isfinite(first) && copy(1, 2) == 10 && weight.values()[5] == 10 ? 0 : 1;
}
