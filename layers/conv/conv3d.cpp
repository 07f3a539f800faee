#include "voxgrad/layers/conv/conv3d.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/framework/ops/reduce.hpp"

namespace vg {

using detail::list;
using detail::with;

namespace {

// The options, named and ordered like brainstate's arguments.
Attributes conv_options(const Size& in_size, std::int64_t out_channels, const Attributes& window,
                        const Attributes& more, const Attributes& frame) {
  return with(with(with({{"in_size", in_size}, {"out_channels", out_channels}}, window), more), frame);
}

}  // namespace

ConvWindow::ConvWindow(std::string_view where, const TripleArg& kernel_size, const TripleArg& stride_,
                       const Padding& padding_, const TripleArg& lhs_dilation_, const TripleArg& rhs_dilation_)
    : kernel(kernel_size.checked(where, "kernel_size")),
      stride(stride_.checked(where, "stride")),
      lhs_dilation(lhs_dilation_.checked(where, "lhs_dilation")),
      rhs_dilation(rhs_dilation_.checked(where, "rhs_dilation")),
      padding(padding_) {
  padding.check(where);
  if (lhs_dilation != Triple{1, 1, 1} && padding.mode() != Padding::Mode::explicit_pads)
    throw ValueError(
        fmt::format("[{}] padding: got \"{}\" with lhs_dilation = ({}); an input dilation needs explicit padding",
                    where, padding.mode() == Padding::Mode::same ? "SAME" : "VALID", fmt::join(lhs_dilation, ", ")));
}

Conv3dArgs ConvWindow::args(const Triple& in, std::int64_t groups, Compute compute) const {
  return {.stride = stride,
          .padding = padding.resolve(in, dilated(kernel, rhs_dilation), stride),
          .lhs_dilation = lhs_dilation,
          .rhs_dilation = rhs_dilation,
          .groups = groups,
          .compute = compute};
}

Triple ConvWindow::out_size(std::string_view where, const Triple& in) const {
  return conv3d_out_size(in, kernel, args(in, 1), where);
}

Attributes ConvWindow::options() const {
  return {{"kernel_size", list(kernel)},
          {"stride", list(stride)},
          {"padding", padding.describe()},
          {"lhs_dilation", list(lhs_dilation)},
          {"rhs_dilation", list(rhs_dilation)}};
}

Conv3d::Conv3d(Conv3dOptions o) : ConvLayer3d(o.name, frame_of(o)), window_(where(), o) { start(o.in_size); }

Shape Conv3d::kernel_shape(std::int64_t in_channels) const {
  return window_.kernel_shape(in_channels / groups(), out_channels());
}

Variable Conv3d::convolve(const Variable& x) {
  return conv3d(x, masked(weight["weight"]), window_.args({x.dim(1), x.dim(2), x.dim(3)}, groups(), compute()));
}

Attributes Conv3d::options() const {
  return conv_options(in_size(), out_channels(), window_.options(), {}, frame_options());
}

ScaledWSConv3d::ScaledWSConv3d(ScaledWSConv3dOptions o)
    : ConvLayer3d(o.name, frame_of(o)), window_(where(), o), ws_gain_(o.ws_gain), eps_(o.eps) {
  if (!(eps_ >= 0)) throw ValueError(fmt::format("[{}] eps: got {}; must be at least 0", where(), eps_));
  start(o.in_size);
}

Shape ScaledWSConv3d::kernel_shape(std::int64_t in_channels) const {
  return window_.kernel_shape(in_channels / groups(), out_channels());
}

void ScaledWSConv3d::add_leaves(DType dtype) {
  if (ws_gain_) weight.add("gain", Tensor::ones({1, 1, 1, 1, out_channels()}, dtype));
}

Variable ScaledWSConv3d::convolve(const Variable& x) {
  const Variable& w = weight["weight"];
  const Axes all_but_last{0, 1, 2, 3};
  const auto fan_in = static_cast<double>(w.numel() / w.dim(-1));
  const Variable average = mean(w, all_but_last, true);
  Variable scale = rsqrt(maximum(var(w, all_but_last, true) * fan_in, Tensor::scalar(eps_, w.dtype())));
  if (ws_gain_) scale = weight["gain"] * scale;
  return conv3d(x, masked((w - average) * scale), window_.args({x.dim(1), x.dim(2), x.dim(3)}, groups(), compute()));
}

Attributes ScaledWSConv3d::options() const {
  return conv_options(in_size(), out_channels(), window_.options(), {{"ws_gain", ws_gain_}, {"eps", eps_}},
                      frame_options());
}

DepthwiseSeparableConv3d::DepthwiseSeparableConv3d(DepthwiseSeparableConv3dOptions options)
    : Layer(options.name), options_(std::move(options)) {
  if (options_.multiplier < 1)
    throw ValueError(fmt::format("[{}] multiplier: got {}; must be at least 1", where(), options_.multiplier));
  if (options_.out_channels < 1)
    throw ValueError(fmt::format("[{}] out_channels: got {}; must be at least 1", where(), options_.out_channels));
  ConvWindow(where(), options_.kernel_size, options_.stride, options_.padding, 1,
             options_.rhs_dilation);  // check the arguments
  if (!options_.in_size.empty()) build(options_.in_size);
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

Attributes DepthwiseSeparableConv3d::options() const {
  const ConvWindow window(where(), options_.kernel_size, options_.stride, options_.padding, 1, options_.rhs_dilation);
  return {{"in_size", in_size()},
          {"out_channels", options_.out_channels},
          {"kernel_size", list(window.kernel)},
          {"stride", list(window.stride)},
          {"padding", window.padding.describe()},
          {"rhs_dilation", list(window.rhs_dilation)},
          {"multiplier", options_.multiplier},
          {"w_init", options_.w_init.str()},
          {"b_init", options_.b_init.str()},
          {"name", name()}};
}

}  // namespace vg
