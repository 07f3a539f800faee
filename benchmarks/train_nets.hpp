// The nets of train_torch.py, written with voxgrad: the same layers, shapes and numbers of parameters. All nets except
// the CNN take volumes of any extents (the U-Net: multiples of 4).
#pragma once

#include <optional>

#include <voxgrad/voxgrad.hpp>

namespace bench {

/// PyTorch's initial weights: uniform within 1 / sqrt(fan_in).
inline vg::Initializer weights() { return vg::init::KaimingUniform(1.0 / 3); }

struct ConvShape {
  int kernel = 3, stride = 1;
  std::int64_t groups = 1;
  bool bias = true;
};

/// A convolution that keeps the extents if its stride is 1.
inline vg::Conv3d conv(std::int64_t in, std::int64_t out, const ConvShape& shape = {}) {
  return vg::Conv3d({.in_size = {vg::dynamic, vg::dynamic, vg::dynamic, in},
                     .out_channels = out,
                     .kernel_size = shape.kernel,
                     .stride = shape.stride,
                     .padding = shape.kernel / 2,
                     .groups = shape.groups,
                     .w_init = weights(),
                     .b_init = shape.bias ? vg::init::ZeroInit() : vg::Initializer()});
}

/// A transposed convolution that doubles the extents.
inline vg::ConvTranspose3d up(std::int64_t in, std::int64_t out) {
  return vg::ConvTranspose3d({.in_size = {vg::dynamic, vg::dynamic, vg::dynamic, in},
                              .out_channels = out,
                              .kernel_size = 2,
                              .stride = 2,
                              .w_init = weights(),
                              .b_init = vg::init::ZeroInit()});
}

/// Twice (convolution, group normalisation, ReLU); the first convolution has the stride.
inline vg::Sequential unet_block(std::int64_t in, std::int64_t out, int stride = 1) {
  const vg::GroupNormOptions norm{.num_groups = 8, .epsilon = 1e-5};
  return vg::Sequential(conv(in, out, {.stride = stride}), vg::GroupNorm(norm), vg::ReLU(), conv(out, out),
                        vg::GroupNorm(norm), vg::ReLU());
}

/// Two levels down with strides, two up with transposed convolutions, concatenated skips and a 1x1x1 head.
class UNet : public vg::Module {
 public:
  UNet(std::int64_t inputs, std::int64_t classes, std::int64_t a = 16, std::int64_t b = 32, std::int64_t c = 64)
      : down1(unet_block(inputs, a)),
        down2(unet_block(a, b, 2)),
        bottom(unet_block(b, c, 2)),
        up2(up(c, b)),
        join2(unet_block(2 * b, b)),
        up1(up(b, a)),
        join1(unet_block(2 * a, a)),
        head(conv(a, classes, {.kernel = 1})) {}

  vg::Variable update(vg::Variable x) override {
    const vg::Variable fine = down1(x), middle = down2(fine);
    const vg::Variable coarse = join2(vg::concat({up2(bottom(middle)), middle}, -1));
    return head(join1(vg::concat({up1(coarse), fine}, -1)));
  }
  void visit(vg::Visitor& v) override {
    v("down1", down1), v("down2", down2), v("bottom", bottom), v("up2", up2), v("join2", join2), v("up1", up1),
        v("join1", join1), v("head", head);
  }
  std::string kind() const override { return "UNet"; }

 private:
  vg::Sequential down1, down2, bottom;
  vg::ConvTranspose3d up2;
  vg::Sequential join2;
  vg::ConvTranspose3d up1;
  vg::Sequential join1;
  vg::Conv3d head;
};

/// PyTorch's BatchNorm3d: each batch contributes a tenth to the running statistics.
inline vg::BatchNorm3d batch_norm() { return vg::BatchNorm3d({.epsilon = 1e-5, .momentum = 0.9}); }

/// A basic residual block: two 3x3x3 convolutions, and a 1x1x1 convolution on the skip connection if shapes change.
class Residual : public vg::Module {
 public:
  Residual(std::int64_t in, std::int64_t out, int stride)
      : body(conv(in, out, {.stride = stride, .bias = false}), batch_norm(), vg::ReLU(),
             conv(out, out, {.bias = false}), batch_norm()) {
    if (stride == 1 && in == out) return;
    skip.emplace(conv(in, out, {.kernel = 1, .stride = stride, .bias = false}), batch_norm());
  }
  vg::Variable update(vg::Variable x) override { return vg::relu(body(x) + (skip ? (*skip)(x) : x)); }
  void visit(vg::Visitor& v) override { v("body", body), v("skip", skip); }
  std::string kind() const override { return "Residual"; }

 private:
  vg::Sequential body;
  std::optional<vg::Sequential> skip;
};

/// A stem, one residual block per width (all except the first halve the extents), global average pooling and a linear
/// head.
class ResNet : public vg::Module {
 public:
  explicit ResNet(std::int64_t classes)
      : stem(conv(1, 16, {.bias = false}), batch_norm(), vg::ReLU()),
        block1(16, 16, 1),
        block2(16, 32, 2),
        block3(32, 64, 2),
        head({.in_size = {64}, .out_features = classes, .w_init = weights()}) {}
  vg::Variable update(vg::Variable x) override { return head(vg::global_avg_pool3d(block3(block2(block1(stem(x)))))); }
  void visit(vg::Visitor& v) override {
    v("stem", stem), v("block1", block1), v("block2", block2), v("block3", block3), v("head", head);
  }
  std::string kind() const override { return "ResNet"; }

 private:
  vg::Sequential stem;
  Residual block1, block2, block3;
  vg::Linear head;
};

/// Twice (convolution, ReLU, max pooling) and a linear head, for volumes of size^3.
inline vg::Sequential cnn(std::int64_t size, std::int64_t classes) {
  return vg::Sequential(conv(1, 8), vg::ReLU(), vg::MaxPool3d({.kernel_size = 2}), conv(8, 16), vg::ReLU(),
                        vg::MaxPool3d({.kernel_size = 2}), vg::Flatten({.in_size = {size / 4, size / 4, size / 4, 16}}),
                        vg::Linear({.out_features = classes, .w_init = weights()}));
}

/// Depthwise 3x3x3, normalisation of each channel, expansion by 4, GELU, compression, residual: a block of MedNeXt (Roy
/// et al. 2023), between a 1x1x1 stem and head.
class MedNeXtBlock : public vg::Module {
 public:
  MedNeXtBlock(std::int64_t channels, std::int64_t classes)
      : stem(conv(1, channels, {.kernel = 1})),
        body(conv(channels, channels, {.groups = channels}), vg::GroupNorm({.num_groups = channels, .epsilon = 1e-5}),
             conv(channels, 4 * channels, {.kernel = 1}), vg::GELU(), conv(4 * channels, channels, {.kernel = 1})),
        head(conv(channels, classes, {.kernel = 1})) {}
  vg::Variable update(vg::Variable x) override {
    const vg::Variable y = stem(x);
    return head(y + body(y));
  }
  void visit(vg::Visitor& v) override { v("stem", stem), v("body", body), v("head", head); }
  std::string kind() const override { return "MedNeXtBlock"; }

 private:
  vg::Conv3d stem;
  vg::Sequential body;
  vg::Conv3d head;
};

}  // namespace bench
