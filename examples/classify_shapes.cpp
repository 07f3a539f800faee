// A small CNN learns to tell voxelised solids apart (sphere, box, torus, ...), in random pose and with noise.
#include <cstdio>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <voxgrad/voxgrad.hpp>

namespace {

vg::Conv3d conv(std::int64_t channels) {
  return vg::Conv3d({.out_channels = channels,
                     .kernel_size = 3,
                     .w_init = vg::init::KaimingNormal(),
                     .b_init = vg::init::ZeroInit()});
}

// The share of a dataset's samples that the model names rightly.
double accuracy(vg::Module& model, const vg::ShapesDataset& shapes) {
  vg::NoGrad no_grad;
  const vg::FitScope evaluation(model, false);
  std::int64_t right = 0;
  vg::DataLoader loader(shapes, {.batch_size = 32});
  for (const vg::Batch& batch : loader) {
    const vg::Tensor named = vg::argmax(model(batch.x).value());
    for (std::int64_t i = 0; i < named.numel(); ++i) right += named.value_at(i) == batch.y.value_at(i);
  }
  return static_cast<double>(right) / static_cast<double>(shapes.size());
}

}  // namespace

int main(int argc, char** argv) {
  std::int64_t steps = 400, size = 16, batch_size = 32;
  std::uint64_t seed = 0;
  CLI::App app{"Trains a small CNN to tell voxelised solids apart."};
  app.add_option("--steps", steps, "Training steps")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--size", size, "Voxels along an edge")->check(CLI::Range(8, 128))->capture_default_str();
  app.add_option("--batch", batch_size, "Solids in a step")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--seed", seed, "Of the first weights and the solids")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    vg::random::seed(seed);
    vg::Sequential model(conv(16), vg::BatchNorm3d(), vg::ReLU(), vg::MaxPool3d({.kernel_size = 2}), conv(32),
                         vg::BatchNorm3d(), vg::ReLU(), vg::MaxPool3d({.kernel_size = 2}), conv(64), vg::BatchNorm3d(),
                         vg::ReLU(), vg::GlobalAvgPool3d(), vg::Linear({.out_features = vg::shape_kinds}));
    model.build({size, size, size, 1});
    fmt::print("{}", model.summary({1, size, size, size, 1}));

    vg::DataLoader loader(vg::ShapesDataset({.count = 4096, .size = size, .seed = 2 * seed}),
                          {.batch_size = batch_size, .shuffle = true, .seed = seed});
    vg::AdamW optimizer(model.parameters(), {.lr = vg::OneCycle({.max_lr = 1e-2, .total_steps = steps})});
    const vg::FitScope training(model);
    for (std::int64_t step = 1; step <= steps; ++step) {
      const vg::Batch batch = loader.next();
      const vg::Variable loss = vg::cross_entropy(model(batch.x), batch.y);
      loss.backward();
      optimizer.step();
      optimizer.zero_grad();
      if (step % 50 == 0 || step == steps) fmt::print("step {}/{}  loss {:.4f}\n", step, steps, loss.item());
    }
    const double right = accuracy(model, vg::ShapesDataset({.count = 512, .size = size, .seed = 2 * seed + 1}));
    fmt::print("accuracy on solids never seen: {:.3f} (chance {:.3f})\n", right,
               1.0 / static_cast<double>(vg::shape_kinds));
    return 0;
  } catch (const std::exception& e) {
    fmt::print(stderr, "error: {}\n", e.what());
    return 1;
  }
}
