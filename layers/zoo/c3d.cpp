#include "voxgrad/layers/zoo/c3d.hpp"

namespace vg::zoo {

Sequential C3D(const C3DOptions& o) {
  Sequential net;
  const auto conv = [&](std::int64_t times) {
    net.push_back(Conv3d({.out_channels = o.width * times,
                          .kernel_size = 3,
                          .padding = 1,
                          .w_init = o.w_init,
                          .b_init = init::ZeroInit()}));
    net.push_back(ReLU());
  };
  const auto hidden = [&] {
    net.push_back(Linear({.out_features = o.features, .w_init = o.w_init}));
    net.push_back(ReLU());
    net.push_back(Dropout({.keep_prob = 0.5}));
  };
  conv(1);
  net.push_back(MaxPool3d({.kernel_size = {1, 2, 2}}));
  conv(2);
  net.push_back(MaxPool3d({.kernel_size = 2}));
  for (int stage = 0; stage < 3; ++stage) {
    conv(stage == 0 ? 4 : 8);
    conv(stage == 0 ? 4 : 8);
    const Pads space = stage == 2 ? Pads{1, 1} : Pads{0, 0};
    net.push_back(MaxPool3d({.kernel_size = 2, .padding = std::vector<Pads>{{0, 0}, space, space}}));
  }
  net.push_back(Flatten());
  hidden();
  hidden();
  net.push_back(Linear({.out_features = o.classes, .w_init = o.w_init}));
  net.build(o.in_size);
  return net;
}

}  // namespace vg::zoo
