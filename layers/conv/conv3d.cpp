#include "voxgrad/layers/conv/conv3d.hpp"

#include <limits>
#include <utility>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/framework/ops/reduce.hpp"

namespace vg {

Conv3d::Conv3d(Conv3dOptions options) : ConvLayerWith(std::move(options)) { start(); }

ScaledWSConv3d::ScaledWSConv3d(ScaledWSConv3dOptions options) : ConvLayerWith(std::move(options)) { start(); }

void ScaledWSConv3d::add_leaves(DType dtype) {
  if (options_.ws_gain) weight.add("gain", Tensor::ones({1, 1, 1, 1, options_.out_channels}, dtype));
}

Variable ScaledWSConv3d::kernel() const {
  const Variable& w = weight["weight"];
  const Axes all_but_last{0, 1, 2, 3};
  const auto fan_in = static_cast<double>(w.numel() / w.dim(-1));
  const Variable average = mean(w, all_but_last, true);
  Variable scale = rsqrt(maximum(var(w, all_but_last, true) * fan_in, Tensor::scalar(options_.eps, w.dtype())));
  if (options_.ws_gain) scale = weight["gain"] * scale;
  return (w - average) * scale;
}

void DepthwiseSeparableConv3dOptions::fields(Fields& f) {
  f("in_size", in_size);
  f("out_channels", out_channels, at_least(1));
  f("kernel_size", kernel_size);
  f("stride", stride);
  f("padding", padding);
  f("rhs_dilation", rhs_dilation);
  f("multiplier", multiplier, within(1, std::numeric_limits<std::int32_t>::max()));
  f("w_init", w_init);
  f("b_init", b_init);
  f("name", name);
}

DepthwiseSeparableConv3d::DepthwiseSeparableConv3d(DepthwiseSeparableConv3dOptions options)
    : LayerWith(std::move(options)) {
  start();
}

void DepthwiseSeparableConv3d::build(const Size& in_size) {
  if (built()) return require_same(in_size);
  check_size(where(), in_size, 4);
  const std::int64_t channels = in_size.back();
  Conv3d each({.in_size = in_size,
               .out_channels = channels * options_.multiplier,
               .kernel_size = options_.kernel_size,
               .stride = options_.stride,
               .padding = options_.padding,
               .rhs_dilation = options_.rhs_dilation,
               .groups = channels,
               .w_init = options_.w_init,
               .b_init = options_.b_init});
  Conv3d across({.in_size = each.out_size(),
                 .out_channels = options_.out_channels,
                 .kernel_size = 1,
                 .w_init = options_.w_init,
                 .b_init = options_.b_init});
  set_sizes(in_size, across.out_size());
  depthwise.emplace(std::move(each));
  pointwise.emplace(std::move(across));
}

Variable DepthwiseSeparableConv3d::update(Variable x) {
  require_built();
  return (*pointwise)((*depthwise)(x));
}

void DepthwiseSeparableConv3d::visit(Visitor& v) {
  v("depthwise", depthwise);
  v("pointwise", pointwise);
}

}  // namespace vg
