#include "voxgrad/layers/zoo/mednext.hpp"

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/layers/zoo/check.hpp"

namespace vg::zoo {

namespace {

enum class Step : std::uint8_t { same, down, up };

struct MedNeXtBuilder {
  const MedNeXtOptions& o;
  // A transposed convolution maps n voxels to 2 n - 1, as PyTorch's does with padding k / 2.
  template <class Conv, class Options>
  void add(Sequential& net, std::int64_t channels, std::int64_t kernel, std::int64_t stride,
           std::int64_t groups) const {
    net.push_back(Conv(Options{.out_channels = channels,
                               .kernel_size = kernel,
                               .stride = stride,
                               .padding = kernel / 2,
                               .groups = groups,
                               .w_init = o.w_init,
                               .b_init = init::ZeroInit()}));
  }
  void conv(Sequential& net, std::int64_t channels, std::int64_t kernel, Step step = Step::same,
            std::int64_t groups = 1) const {
    if (step == Step::up) return add<ConvTranspose3d, ConvTranspose3dOptions>(net, channels, kernel, 2, groups);
    add<Conv3d, Conv3dOptions>(net, channels, kernel, step == Step::down ? 2 : 1, groups);
  }
  void block(Sequential& net, std::int64_t in, std::int64_t out, Step step = Step::same) const {
    Sequential main, beside;
    conv(main, in, o.kernel_size, step, in);
    main.push_back(GroupNorm({.num_groups = in, .epsilon = 1e-5}));
    conv(main, in * o.expansion, 1);
    main.push_back(GELU());
    conv(main, out, 1);
    if (step == Step::same) beside.push_back(Identity());
    if (step != Step::same) conv(beside, out, 1, step);
    net.push_back(Branches({}, std::move(main), std::move(beside)));
    if (step == Step::up) net.push_back(ZeroPad3d({.padding = std::vector<Pads>(3, {1, 0})}));
  }
  void blocks(Sequential& net, std::size_t stage) const {
    for (std::int64_t i = 0; i < o.blocks[stage]; ++i) block(net, o.init_filters << stage, o.init_filters << stage);
  }
  // Adds stage i and all stages below it; the output has the extents of stage i.
  void level(Sequential& net, std::size_t i) const {
    blocks(net, i);
    if (i + 1 == o.blocks.size()) return;
    const std::int64_t channels = o.init_filters << i;
    Sequential below;
    block(below, channels, 2 * channels, Step::down);
    level(below, i + 1);
    block(below, 2 * channels, channels, Step::up);
    net.push_back(Branches({}, std::move(below), Identity()));
    blocks(net, i);
  }
};

}  // namespace

Sequential MedNeXtS(const MedNeXtOptions& o) {
  require_stages("MedNeXtS", "blocks", o.blocks);
  require_stages("MedNeXtS", "init_filters, expansion", {o.init_filters, o.expansion});
  if (o.kernel_size < 1 || o.kernel_size % 2 == 0)
    throw ValueError(fmt::format("[MedNeXtS] kernel_size: got {}; must be odd and at least 1", o.kernel_size));
  require_divisible("MedNeXtS", o.in_size, o.blocks.size() - 1);
  const MedNeXtBuilder add{o};
  Sequential net;
  add.conv(net, o.init_filters, 1);
  add.level(net, 0);
  add.conv(net, o.out_channels, 1);
  net.build(o.in_size);
  return net;
}

}  // namespace vg::zoo
