#include "voxgrad/layers/containers/residual.hpp"

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/layers/conv/conv3d.hpp"
#include "voxgrad/layers/registry/by_name.hpp"

namespace vg {

using detail::with;

ResidualLayer3d::ResidualLayer3d(std::string name, Frame frame)
    : Layer(std::move(name)), frame_(std::move(frame)), w_init_(frame_.w_init.str()) {}

void ResidualLayer3d::start(const Size& in_size) {
  if (frame_.out_channels < 1)
    throw ValueError(fmt::format("[{}] out_channels: got {}; must be at least 1", where(), frame_.out_channels));
  frame_.stride = frame_.stride.checked(where(), "stride");
  if (!frame_.w_init) throw ValueError(fmt::format("[{}] w_init: got None; must be an initializer", where()));
  norm_by_name(where(), frame_.norm, frame_.num_groups);  // check both arguments
  activation = make_activation();
  if (!in_size.empty()) build(in_size);
}

std::shared_ptr<Module> ResidualLayer3d::make_activation() const {
  return activation_by_name(where(), frame_.activation);
}

void ResidualLayer3d::add_conv(Sequential& net, std::int64_t channels, std::int64_t kernel_size,
                               const TripleArg& stride) const {
  net.push_back(Conv3d({.out_channels = channels,
                        .kernel_size = kernel_size,
                        .stride = stride,
                        .padding = kernel_size / 2,  // as in PyTorch: the same on both sides for any stride
                        .w_init = frame_.w_init}));
  net.push_back(norm_by_name(where(), frame_.norm, frame_.num_groups));
}

void ResidualLayer3d::build(const Size& in_size) {
  if (built()) return require_same(in_size);
  check_size(where(), in_size, 4);
  Sequential made = make_main();
  made.build(in_size);
  std::optional<Sequential> beside;
  if (in_size.back() != frame_.out_channels || frame_.stride.entries() != std::vector<std::int64_t>{1, 1, 1}) {
    beside.emplace();
    add_conv(*beside, frame_.out_channels, 1, frame_.stride);
    beside->build(in_size);
  }
  set_sizes(in_size, made.out_size());
  main.emplace(std::move(made));
  if (beside) shortcut.emplace(std::move(*beside));
  if (training()) train();  // also put the new modules into training mode
}

Variable ResidualLayer3d::update(Variable x) {
  require_built();
  const Variable y = (*main)(x);
  return (*activation)(y + (shortcut ? (*shortcut)(x) : x));
}

void ResidualLayer3d::visit(Visitor& v) {
  v("main", main);
  v("shortcut", shortcut);
  v("activation", activation);
}

Attributes ResidualLayer3d::frame_options() const {
  return {{"stride", frame_.stride.entries()}, {"norm", frame_.norm}, {"num_groups", frame_.num_groups},
          {"activation", frame_.activation},   {"w_init", w_init_},   {"name", name()}};
}

ResidualBlock3d::ResidualBlock3d(ResidualBlock3dOptions o)
    : ResidualLayer3d(o.name, {o.out_channels, o.stride, o.norm, o.activation, o.num_groups, o.w_init}) {
  start(o.in_size);
}

Sequential ResidualBlock3d::make_main() const {
  Sequential net;
  add_conv(net, frame().out_channels, 3, frame().stride);
  net.push_back(make_activation());
  add_conv(net, frame().out_channels, 3, 1);
  return net;
}

Attributes ResidualBlock3d::options() const {
  return with({{"in_size", in_size()}, {"out_channels", frame().out_channels}}, frame_options());
}

namespace {

std::int64_t checked_width(const BottleneckBlock3dOptions& o) {
  for (const auto& [name, value] : {std::pair("channels", o.channels), std::pair("expansion", o.expansion)})
    if (value < 1 || value > INT32_MAX)
      throw ValueError(fmt::format("[BottleneckBlock3d] {}: got {}; must be in [1, 2147483647]", name, value));
  return o.channels * o.expansion;
}

}  // namespace

BottleneckBlock3d::BottleneckBlock3d(BottleneckBlock3dOptions o)
    : ResidualLayer3d(o.name, {checked_width(o), o.stride, o.norm, o.activation, o.num_groups, o.w_init}),
      channels_(o.channels),
      expansion_(o.expansion) {
  start(o.in_size);
}

Sequential BottleneckBlock3d::make_main() const {
  Sequential net;
  add_conv(net, channels_, 1, 1);
  net.push_back(make_activation());
  add_conv(net, channels_, 3, frame().stride);
  net.push_back(make_activation());
  add_conv(net, frame().out_channels, 1, 1);
  return net;
}

Attributes BottleneckBlock3d::options() const {
  return with({{"in_size", in_size()}, {"channels", channels_}, {"expansion", expansion_}}, frame_options());
}

}  // namespace vg
