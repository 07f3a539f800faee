// vg::AutocastGuard and the option of layers: which ops compute in bf16, and that training still works.
#include <catch2/catch.hpp>
#include <cmath>
#include <string>
#include <thread>
#include <vector>

#include "support/temp_dir.hpp"
#include "voxgrad/framework/kernels/bf16/bf16.hpp"
#include "voxgrad/voxgrad.hpp"

using namespace vg;
using Catch::Contains;

namespace {

Tensor normal(random::Generator& g, const Shape& shape, DType dtype = f32) {
  return random::normal(g.next(), shape).to(dtype);
}

std::vector<double> rounded(const Tensor& t) {
  std::vector<double> v = t.values();
  for (double& a : v) a = static_cast<double>(kernels::from_bf16(kernels::to_bf16(static_cast<float>(a))));
  return v;
}

/// The largest difference divided by the largest value.
double error(const Tensor& got, const Tensor& want) {
  double most = 0, size = 0;
  for (std::int64_t i = 0; i < got.numel(); ++i) {
    most = std::max(most, std::abs(got.value_at(i) - want.value_at(i)));
    size = std::max(size, std::abs(want.value_at(i)));
  }
  return most / size;
}

bool same_values(const Tensor& a, const Tensor& b) { return a.values() == b.values(); }

const Conv3dArgs padded{.padding = {{{1, 1}, {1, 1}, {1, 1}}}};
const Conv3dArgs in_bf16{.padding = {{{1, 1}, {1, 1}, {1, 1}}}, .compute = Compute::bf16};

}  // namespace

TEST_CASE("autocast: scopes nest and apply to their thread", "[bf16]") {
  CHECK(autocast() == Compute::full);
  {
    const AutocastGuard outer;
    CHECK(autocast() == Compute::bf16);
    {
      const AutocastGuard inner(Compute::full);
      CHECK(autocast() == Compute::full);
      const AutocastGuard same(Compute::automatic);
      CHECK(autocast() == Compute::full);
    }
    CHECK(autocast() == Compute::bf16);
    Compute elsewhere = Compute::bf16;
    std::thread([&elsewhere] { elsewhere = autocast(); }).join();
    CHECK(elsewhere == Compute::full);
  }
  CHECK(autocast() == Compute::full);
}

TEST_CASE("autocast: conv3d is that of the rounded operands, in f32", "[bf16]") {
  const Conv3dAlgorithmGuard direct("direct");  // whose sums are as exact as those of the bf16 kernels
  random::Generator g(1);
  const Tensor x = normal(g, {2, 5, 6, 7, 6}), w = normal(g, {3, 3, 3, 6, 20});
  const Tensor full = conv3d(x, w, padded).value();
  const Tensor want =
      conv3d(Tensor::of<double>(x.shape(), rounded(x)), Tensor::of<double>(w.shape(), rounded(w)), padded).value();
  for (const std::string& set : available_bf16_kernel_sets()) {
    INFO(set);
    const Bf16KernelSetGuard scope(set);
    const AutocastGuard autocast;
    const Tensor y = conv3d(x, w, padded).value();
    CHECK(y.dtype() == f32);
    CHECK(error(y, want) < 2e-6);
    CHECK(error(y, full) > 1e-4);
    CHECK(same_values(conv3d(x, w, in_bf16).value(), y));
    Conv3dArgs args = padded;
    args.compute = Compute::full;
    CHECK(same_values(conv3d(x, w, args).value(), full));
  }
}

TEST_CASE("autocast: f64 is computed in f64", "[bf16]") {
  random::Generator g(2);
  const Variable x(normal(g, {1, 4, 5, 6, 4}, f64), true), w(normal(g, {3, 3, 3, 4, 8}, f64), true);
  const auto both = [&] {
    const Variable y = conv3d(x, w, padded);
    const auto grads = gradients(sum(y * y), {x, w});
    return std::vector<Tensor>{y.value(), grads[0].value(), grads[1].value()};
  };
  const auto want = both();
  const AutocastGuard autocast;
  const auto got = both();
  for (std::size_t i = 0; i < 3; ++i) CHECK(same_values(got[i], want[i]));
}

TEST_CASE("autocast: gradients are computed like their op, also outside of the scope", "[bf16]") {
  random::Generator g(3);
  const Variable x(normal(g, {1, 4, 5, 6, 6}), true), w(normal(g, {3, 3, 3, 6, 16}), true);
  const Variable seed(normal(g, {1, 4, 5, 6, 16}));
  const Variable dx = conv3d_grad_input(seed, w, {4, 5, 6}, in_bf16),
                 dw = conv3d_grad_weight(x, seed, {3, 3, 3}, in_bf16);
  const Variable full_dw = conv3d_grad_weight(x, seed, {3, 3, 3}, padded);
  REQUIRE(!same_values(dw.value(), full_dw.value()));

  Variable y, full;
  {
    const AutocastGuard autocast;
    y = conv3d(x, w, padded);
  }
  auto grads = gradients(y, {x, w}, seed);
  CHECK(same_values(grads[0].value(), dx.value()));
  CHECK(same_values(grads[1].value(), dw.value()));
  full = conv3d(x, w, padded);
  {
    const AutocastGuard autocast;
    grads = gradients(full, {x, w}, seed);
    CHECK(same_values(grads[1].value(), full_dw.value()));
  }
  {
    const AutocastGuard autocast;
    y = conv3d(x, w, padded);
  }
  // also a second derivative: d <dw, v> / dx is the grad_input of the cotangent and v
  grads = gradients(y, {w}, seed, {.create_graph = true});
  const Variable v(normal(g, w.shape()));
  const Variable second = gradients(grads[0], {x}, v)[0];
  CHECK(same_values(second.value(), conv3d_grad_input(seed, v, {4, 5, 6}, in_bf16).value()));
}

TEST_CASE("autocast: its gradient is near the exact one, through transposed and strided convolutions", "[bf16]") {
  random::Generator g(4);
  const Variable x(normal(g, {1, 6, 6, 6, 8}), true), w(normal(g, {3, 3, 3, 8, 16}), true),
      u(normal(g, {2, 2, 2, 8, 16}), true);
  const auto grads = [&] {
    const Variable y = conv3d(x, w, {.stride = {2, 2, 2}, .padding = {{{1, 1}, {1, 1}, {1, 1}}}});
    const Variable z = conv_transpose3d(y, u, {.stride = {2, 2, 2}, .padding = {{{1, 1}, {1, 1}, {1, 1}}}});
    return gradients(mean(z * z), {x, w, u});
  };
  const auto want = grads();
  for (const std::string& set : available_bf16_kernel_sets()) {
    INFO(set);
    const Bf16KernelSetGuard scope(set);
    const AutocastGuard autocast;
    const auto got = grads();
    for (std::size_t i = 0; i < 3; ++i) {
      CHECK(error(got[i].value(), want[i].value()) < 2e-2);
      CHECK(!same_values(got[i].value(), want[i].value()));
    }
  }
}

TEST_CASE("Conv3d: the option compute", "[bf16]") {
  random::Generator g(5);
  const Variable x(normal(g, {1, 5, 5, 5, 4}));
  const auto layer = [](Compute compute) {
    random::Generator same(6);
    const random::GeneratorGuard scope(same);
    return Conv3d({.in_size = {5, 5, 5, 4}, .out_channels = 16, .kernel_size = 3, .compute = compute});
  };
  Conv3d automatic = layer(Compute::automatic), full = layer(Compute::full), bf16 = layer(Compute::bf16);
  const Tensor exact = full(x).value(), rough = bf16(x).value();
  CHECK(!same_values(exact, rough));
  CHECK(error(rough, exact) < 2e-2);
  CHECK(same_values(automatic(x).value(), exact));
  const AutocastGuard autocast;
  CHECK(same_values(automatic(x).value(), rough));
  CHECK(same_values(full(x).value(), exact));

  ConvTranspose3d up(
      {.in_size = {5, 5, 5, 4}, .out_channels = 3, .kernel_size = 2, .stride = 2, .compute = Compute::bf16});
  ScaledWSConv3d scaled({.in_size = {5, 5, 5, 4}, .out_channels = 16, .kernel_size = 3, .compute = Compute::full});
  CHECK(up(x).shape() == Shape{1, 10, 10, 10, 3});
  const Variable y = scaled(x);
  const AutocastGuard off(Compute::full);
  CHECK(same_values(y.value(), scaled(x).value()));
}

TEST_CASE("Conv3d: a checkpoint remembers the option compute", "[bf16]") {
  const vg::test::TempDir folder;
  const auto layer = [](Compute compute) {
    return Conv3d({.in_size = {5, 5, 5, 4}, .out_channels = 16, .kernel_size = 3, .compute = compute});
  };
  for (const Compute compute : {Compute::automatic, Compute::full, Compute::bf16}) {
    Conv3d saved = layer(compute), loaded = layer(compute);
    save(saved, folder / "m.json");
    load(loaded, folder / "m.json");
    CHECK(same_values(saved.weight["weight"].value(), loaded.weight["weight"].value()));
    CHECK(saved.options() == loaded.options());
  }
  Conv3d other = layer(Compute::full);
  CHECK_THROWS_WITH(load(other, folder / "m.json"), Contains("compute") && Contains("bf16"));
  CHECK(vg::test::read_bytes(folder / "m.json").find("\"compute\"") != std::string::npos);
}

TEST_CASE("autocast: training reaches nearly the same loss", "[bf16][large]") {
  const auto train = [](Compute compute) {
    random::Generator g(7);
    const random::GeneratorGuard seeded(g);
    Sequential model(Conv3d({.in_size = {8, 8, 8, 1}, .out_channels = 8, .kernel_size = 3, .b_init = init::ZeroInit()}),
                     ReLU(), MaxPool3d({.kernel_size = 2}),
                     Conv3d({.out_channels = 16, .kernel_size = 3, .b_init = init::ZeroInit()}), ReLU(),
                     GlobalAvgPool3d(), Linear({.out_features = shape_kinds}));
    DataLoader loader(ShapesDataset({.count = 16, .size = 8, .seed = 1}), {.batch_size = 16, .shuffle = true});
    AdamW optimizer(model.parameters(), {.lr = 2e-2});
    model.train();
    std::vector<double> losses;
    for (int step = 0; step < 40; ++step) {
      const Batch batch = loader.next();
      const AutocastGuard autocast(compute);
      const Variable loss = cross_entropy(model(batch.x), batch.y);
      loss.backward();
      optimizer.step();
      optimizer.zero_grad();
      losses.push_back(loss.item());
    }
    return losses;
  };
  const auto exact = train(Compute::full);
  REQUIRE(exact.back() < 0.9 * exact.front());
  for (const std::string& set : available_bf16_kernel_sets()) {
    INFO(set);
    const Bf16KernelSetGuard scope(set);
    const auto rough = train(Compute::bf16);
    CHECK(rough != exact);
    for (std::size_t i = 0; i < exact.size(); ++i) CHECK(std::abs(rough[i] - exact[i]) < 0.05 * exact.front());
  }
}
