// A 3-D U-Net: per level twice (3x3x3 convolution, group normalisation, ReLU), stride-2 convolutions down, transposed
// 2x2x2 convolutions up, concatenated skips and a 1x1x1 head. It takes volumes whose extents are multiples of 4.
#pragma once

#include <voxgrad/voxgrad.hpp>

class Block : public vg::Module {
 public:
  Block(std::int64_t in, std::int64_t out, int stride = 1)
      : conv1(conv(in, out, stride)), norm1(norm(out)), conv2(conv(out, out, 1)), norm2(norm(out)) {}
  vg::Variable update(vg::Variable x) override { return vg::relu(norm2(conv2(vg::relu(norm1(conv1(x)))))); }
  void visit(vg::Visitor& v) override { v("conv1", conv1), v("norm1", norm1), v("conv2", conv2), v("norm2", norm2); }
  std::string kind() const override { return "Block"; }

 private:
  static vg::Conv3d conv(std::int64_t in, std::int64_t out, int stride) {
    return vg::Conv3d({.in_size = {vg::dynamic, vg::dynamic, vg::dynamic, in},
                       .out_channels = out,
                       .kernel_size = 3,
                       .stride = stride,
                       .padding = 1,
                       .w_init = vg::init::KaimingNormal(),
                       .b_init = vg::init::ZeroInit()});
  }
  static vg::GroupNorm norm(std::int64_t channels) {
    return vg::GroupNorm({.in_size = {vg::dynamic, vg::dynamic, vg::dynamic, channels}, .num_groups = 8});
  }
  vg::Conv3d conv1;
  vg::GroupNorm norm1;
  vg::Conv3d conv2;
  vg::GroupNorm norm2;
};

class UNet : public vg::Module {
 public:
  UNet(std::int64_t channels, std::int64_t classes, std::int64_t a = 16, std::int64_t b = 32, std::int64_t c = 64)
      : down1(channels, a),
        down2(a, b, 2),
        bottom(b, c, 2),
        up2(up(c, b)),
        join2(2 * b, b),
        up1(up(b, a)),
        join1(2 * a, a),
        head({.in_size = {vg::dynamic, vg::dynamic, vg::dynamic, a},
              .out_channels = classes,
              .kernel_size = 1,
              .b_init = vg::init::ZeroInit()}) {}

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
  static vg::ConvTranspose3d up(std::int64_t in, std::int64_t out) {
    return vg::ConvTranspose3d({.in_size = {vg::dynamic, vg::dynamic, vg::dynamic, in},
                                .out_channels = out,
                                .kernel_size = 2,
                                .stride = 2,
                                .b_init = vg::init::ZeroInit()});
  }
  Block down1, down2, bottom;
  vg::ConvTranspose3d up2;
  Block join2;
  vg::ConvTranspose3d up1;
  Block join1;
  vg::Conv3d head;
};
