// The run that the files tests/data/checkpoint-v*.json contain, with one of each part of a checkpoint. A formula gives
// its values as bit patterns, so that the expected values do not depend on floating-point arithmetic.
#pragma once

#include <limits>

#include "support/checkpoint_run.hpp"
#include "voxgrad/layers/layers.hpp"

namespace vg::test {

/// Writes bit patterns into every floating-point leaf, including NaNs, infinities and denormals.
inline void fill_with_patterns(vg::Module& model) {
  std::uint32_t word = 1;
  for (auto [path, state] : model.states())
    for (const std::string& leaf : state.leaves()) {
      vg::Tensor& t = state.writable(leaf);
      if (t.dtype() == vg::i32) continue;
      std::string bytes(static_cast<std::size_t>(t.bytes()), '\0');
      for (std::size_t i = 0; i < bytes.size(); i += 4) {
        word = word * 1664525 + 1013904223;
        const std::uint32_t kept = i % 28 == 0 ? word | 0x7f800000 : word;
        std::memcpy(bytes.data() + i, &kept, 4);
      }
      std::memcpy(t.raw(), bytes.data(), bytes.size());
    }
}

struct VersionsRun {
  vg::Sequential model{
      vg::Conv3d({.in_size = {4, 4, 4, 1}, .out_channels = 2, .kernel_size = 2, .b_init = vg::init::ZeroInit()}),
      vg::BatchNorm3d(),
      vg::LeakyReLU({.negative_slope = 0.125}),
      vg::Dropout({.keep_prob = 0.75, .seed = 5}),
      vg::MaxPool3d({.kernel_size = 2}),
      vg::Flatten(),
      vg::Linear({.out_features = 3})};
  Part optimizer;
  vg::random::Generator generator{42};
  vg::Checkpoint checkpoint;

  VersionsRun() {
    model.get<vg::Linear>(6).to(vg::f64);
    fill_with_patterns(model);
    optimizer.step = 12;
    optimizer.momentum = of_bits<float>({0x80000000, 0x7fc00001, 0x3dcccccd});
    checkpoint.model(model).optimizer(optimizer).generator(generator).part("loader", optimizer);
    checkpoint.progress = {{"step", 12},
                           {"best", 0.1},
                           {"worst", std::numeric_limits<double>::infinity()},
                           {"losses", std::vector<double>{1.5, 0.1}},
                           {"note", "a \"kept\" file"}};
  }
};

}  // namespace vg::test
