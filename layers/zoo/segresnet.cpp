#include "voxgrad/layers/zoo/segresnet.hpp"

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/layers/zoo/check.hpp"

namespace vg::zoo {

namespace {

struct SegResNetBuilder {
  const SegResNetOptions& o;

  Conv3d conv(std::int64_t channels, std::int64_t kernel, std::int64_t stride = 1) const {
    return Conv3d(
        {.out_channels = channels, .kernel_size = kernel, .stride = stride, .padding = kernel / 2, .w_init = o.w_init});
  }
  GroupNorm norm() const { return GroupNorm({.num_groups = o.num_groups, .epsilon = 1e-5}); }
  void blocks(Sequential& net, std::int64_t count, std::int64_t channels) const {
    for (std::int64_t i = 0; i < count; ++i)
      net.push_back(
          Branches({}, Sequential(norm(), ReLU(), conv(channels, 3), norm(), ReLU(), conv(channels, 3)), Identity()));
  }
  // Adds stage i and all stages below it; the output has the extents of stage i.
  void level(Sequential& net, std::size_t i) const {
    const std::int64_t channels = o.init_filters << i;
    blocks(net, o.blocks_down[i], channels);
    if (i + 1 == o.blocks_down.size()) return;
    Sequential below(conv(2 * channels, 3, 2));
    level(below, i + 1);
    below.push_back(conv(channels, 1));
    below.push_back(Upsample({.scale = 2, .mode = "trilinear"}));
    net.push_back(Branches({}, std::move(below), Identity()));
    blocks(net, o.blocks_up[o.blocks_up.size() - 1 - i], channels);
  }
};

}  // namespace

Sequential SegResNet(const SegResNetOptions& o) {
  require_stages("SegResNet", "blocks_down", o.blocks_down);
  if (o.blocks_down.size() > 1) require_stages("SegResNet", "blocks_up", o.blocks_up);
  if (o.blocks_up.size() + 1 != o.blocks_down.size())
    throw ValueError(fmt::format("[SegResNet] blocks_up: got {} entries; must be {}, one fewer than blocks_down",
                                 o.blocks_up.size(), o.blocks_down.size() - 1));
  require_divisible("SegResNet", o.in_size, o.blocks_down.size() - 1);
  const SegResNetBuilder add{o};
  Sequential net(add.conv(o.init_filters, 3));
  add.level(net, 0);
  net.push_back(add.norm());
  net.push_back(ReLU());
  net.push_back(
      Conv3d({.out_channels = o.out_channels, .kernel_size = 1, .w_init = o.w_init, .b_init = init::ZeroInit()}));
  net.build(o.in_size);
  return net;
}

}  // namespace vg::zoo
