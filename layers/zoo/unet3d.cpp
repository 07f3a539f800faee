#include "voxgrad/layers/zoo/unet3d.hpp"

#include "voxgrad/layers/zoo/check.hpp"

namespace vg::zoo {

namespace {

void add_conv(Sequential& net, const UNet3dOptions& o, std::int64_t channels, std::int64_t stride) {
  net.push_back(Conv3d({.out_channels = channels,
                        .kernel_size = 3,
                        .stride = stride,
                        .padding = 1,
                        .w_init = o.w_init,
                        .b_init = init::ZeroInit()}));
  net.push_back(InstanceNorm3d({.affine = true}));
  net.push_back(LeakyReLU());
}

// Returns stage i and all stages below it; the output has the extents of stage i.
Sequential level(const UNet3dOptions& o, std::size_t i) {
  const std::int64_t channels = o.features[i];
  Sequential net;
  add_conv(net, o, channels, i == 0 ? 1 : 2);
  add_conv(net, o, channels, 1);
  if (i + 1 == o.features.size()) return net;
  Sequential below = level(o, i + 1);
  below.push_back(ConvTranspose3d({.out_channels = channels,
                                   .kernel_size = 2,
                                   .stride = 2,
                                   .padding = "VALID",
                                   .w_init = o.w_init,
                                   .b_init = init::ZeroInit()}));
  net.push_back(Branches({.join = "concat"}, std::move(below), Identity()));
  add_conv(net, o, channels, 1);
  add_conv(net, o, channels, 1);
  return net;
}

}  // namespace

Sequential UNet3d(const UNet3dOptions& o) {
  require_stages("UNet3d", "features", o.features);
  require_divisible("UNet3d", o.in_size, o.features.size() - 1);
  Sequential net = level(o, 0);
  net.push_back(
      Conv3d({.out_channels = o.out_channels, .kernel_size = 1, .w_init = o.w_init, .b_init = init::ZeroInit()}));
  net.build(o.in_size);
  return net;
}

}  // namespace vg::zoo
