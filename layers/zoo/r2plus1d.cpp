#include "voxgrad/layers/zoo/r2plus1d.hpp"

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/layers/zoo/check.hpp"

namespace vg::zoo {

namespace {

struct R2Plus1DBuilder {
  const R2Plus1DOptions& o;

  // Adds a convolution, padded to keep the extents at stride 1, and its BatchNorm.
  void conv(Sequential& net, std::int64_t channels, const Triple& kernel, const Triple& stride) const {
    net.push_back(Conv3d({.out_channels = channels,
                          .kernel_size = kernel,
                          .stride = stride,
                          .padding = std::vector<std::int64_t>{kernel[0] / 2, kernel[1] / 2, kernel[2] / 2},
                          .w_init = o.w_init}));
    net.push_back(BatchNorm3d({.momentum = 0.9}));
  }
  void split(Sequential& net, std::int64_t between, std::int64_t channels, std::int64_t stride) const {
    conv(net, between, {1, 3, 3}, {1, stride, stride});
    net.push_back(ReLU());
    conv(net, channels, {3, 1, 1}, {stride, 1, 1});
  }
  void block(Sequential& net, std::int64_t in, std::int64_t out, std::int64_t stride) const {
    const std::int64_t between = 27 * in * out / (9 * in + 3 * out);  // of both convolutions, as in torchvision
    Sequential main, shortcut;
    split(main, between, out, stride);
    main.push_back(ReLU());
    split(main, between, out, 1);
    if (in != out || stride != 1)
      conv(shortcut, out, {1, 1, 1}, {stride, stride, stride});
    else
      shortcut.push_back(Identity());
    net.push_back(Branches({}, std::move(main), std::move(shortcut)));
    net.push_back(ReLU());
  }
};

}  // namespace

Sequential R2Plus1D18(const R2Plus1DOptions& o) {
  require_stages("R2Plus1D18", "blocks", o.blocks);
  require_stages("R2Plus1D18", "widths", o.widths);
  if (o.blocks.size() != o.widths.size())
    throw ValueError(fmt::format("[R2Plus1D18] blocks, widths: got {} and {} entries; must be as many, one per stage",
                                 o.blocks.size(), o.widths.size()));
  const R2Plus1DBuilder add{o};
  Sequential net;
  add.conv(net, 45, {1, 7, 7}, {1, 2, 2});
  net.push_back(ReLU());
  add.conv(net, o.widths[0], {3, 1, 1}, {1, 1, 1});
  net.push_back(ReLU());
  std::int64_t in = o.widths[0];
  for (std::size_t stage = 0; stage < o.blocks.size(); ++stage)
    for (std::int64_t i = 0; i < o.blocks[stage]; ++i, in = o.widths[stage])
      add.block(net, in, o.widths[stage], stage > 0 && i == 0 ? 2 : 1);
  net.push_back(GlobalAvgPool3d());
  net.push_back(Linear({.out_features = o.classes, .w_init = o.w_init}));
  net.build(o.in_size);
  return net;
}

}  // namespace vg::zoo
