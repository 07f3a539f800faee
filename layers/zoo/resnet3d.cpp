#include "voxgrad/layers/zoo/resnet3d.hpp"

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/layers/zoo/check.hpp"

namespace vg::zoo {

Sequential ResNet3d(const ResNet3dOptions& o) {
  require_stages("ResNet3d", "blocks", o.blocks);
  require_stages("ResNet3d", "widths", o.widths);
  if (o.blocks.size() != o.widths.size())
    throw ValueError(fmt::format("[ResNet3d] blocks, widths: got {} and {} entries; must be as many, one per stage",
                                 o.blocks.size(), o.widths.size()));
  const Triple kernel = o.stem_kernel.checked("ResNet3d", "stem_kernel");
  Sequential net(Conv3d({.out_channels = o.widths[0],
                         .kernel_size = kernel,
                         .stride = o.stem_stride,
                         .padding = std::vector<std::int64_t>{kernel[0] / 2, kernel[1] / 2, kernel[2] / 2},
                         .w_init = o.w_init}),
                 BatchNorm3d({.momentum = 0.9}), ReLU());
  for (std::size_t stage = 0; stage < o.blocks.size(); ++stage)
    for (std::int64_t block = 0; block < o.blocks[stage]; ++block)
      net.push_back(ResidualBlock3d(
          {.out_channels = o.widths[stage], .stride = stage > 0 && block == 0 ? 2 : 1, .w_init = o.w_init}));
  net.push_back(GlobalAvgPool3d());
  net.push_back(Linear({.out_features = o.classes, .w_init = o.w_init}));
  net.build(o.in_size);
  return net;
}

Sequential ResNet3d18(const ResNet3dOptions& options) { return ResNet3d(options); }

Sequential ResNet3d10(ResNet3dOptions options) {
  options.blocks.assign(options.widths.size(), 1);
  return ResNet3d(options);
}

}  // namespace vg::zoo
