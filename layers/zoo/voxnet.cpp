#include "voxgrad/layers/zoo/voxnet.hpp"

namespace vg::zoo {

Sequential VoxNet(const VoxNetOptions& o) {
  const auto conv = [&](std::int64_t kernel, std::int64_t stride) {
    return Conv3d({.out_channels = 32,
                   .kernel_size = kernel,
                   .stride = stride,
                   .padding = "VALID",
                   .w_init = o.w_init,
                   .b_init = init::ZeroInit()});
  };
  const auto activation = [] { return LeakyReLU({.negative_slope = 0.1}); };
  Sequential net(conv(5, 2), activation(), Dropout({.keep_prob = 0.8}), conv(3, 1), activation(),
                 MaxPool3d({.kernel_size = 2}), Dropout({.keep_prob = 0.7}), Flatten(),
                 Linear({.out_features = 128, .w_init = o.w_init}), ReLU(), Dropout({.keep_prob = 0.6}),
                 Linear({.out_features = o.classes, .w_init = o.w_init}));
  net.build(o.in_size);
  return net;
}

}  // namespace vg::zoo
