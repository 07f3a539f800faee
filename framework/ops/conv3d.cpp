#include "voxgrad/framework/ops/conv3d.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/ops/detail/conv.hpp"
#include "voxgrad/framework/ops/detail/lazy.hpp"
#include "voxgrad/framework/ops/shape_ops.hpp"

namespace vg {

namespace {

using detail::Convolution;
using kernels::Conv3dProblem;

// The limit of an extent, stride, dilation or pad, which keeps their products and sums of those in 64 bits.
constexpr std::int64_t largest = 2147483647;

void check_positive(std::string_view where, std::string_view name, const Triple& t) {
  for (auto v : t)
    if (v < 1 || v > largest)
      throw ValueError(
          fmt::format("[{}] {}: got {}; every entry must be in [1, {}]", where, name, detail::str(t), largest));
}

void check_args(std::string_view where, const Conv3dArgs& args) {
  check_positive(where, "stride", args.stride);
  check_positive(where, "lhs_dilation", args.lhs_dilation);
  check_positive(where, "rhs_dilation", args.rhs_dilation);
  if (args.groups < 1) throw ValueError(fmt::format("[{}] groups: got {}; must be at least 1", where, args.groups));
  for (auto [lo, hi] : args.padding)
    if (std::max(lo, hi) > largest || std::min(lo, hi) < -largest)
      throw ValueError(
          fmt::format("[{}] padding: got ({}, {}); every entry must be in [-{}, {}]", where, lo, hi, largest, largest));
}

// Checks one operand: rank 5 and a floating dtype.
void check_operand(std::string_view where, std::string_view name, const Variable& v, std::string_view layout) {
  if (v.rank() != 5)
    throw ValueError(fmt::format("[{}] {}: got shape {}; must be of rank 5, {}", where, name, v.shape().str(), layout));
  if (!is_float(v.dtype()))
    throw TypeError(fmt::format("[{}] {}: got {}; must be f32 or f64", where, name, name_of(v.dtype())));
}

// Checks both operands; `name` is the one that is not the weight.
void check_operands(std::string_view where, std::string_view name, const Variable& v, std::string_view layout,
                    const Variable& w, std::string_view w_layout) {
  check_operand(where, name, v, layout);
  check_operand(where, "w", w, w_layout);
  if (v.dtype() != w.dtype())
    throw TypeError(fmt::format(
        "[{}] {}: got {}; w is {}: both must have the same dtype. Convert {} with .to(vg::{}), or the model that "
        "w belongs to with model.to(vg::{})",
        where, name, name_of(v.dtype()), name_of(w.dtype()), name, name_of(w.dtype()), name_of(v.dtype())));
}

Triple spatial(const Variable& v) { return {v.dim(1), v.dim(2), v.dim(3)}; }
Triple kernel_of(const Variable& w) { return {w.dim(0), w.dim(1), w.dim(2)}; }

std::int64_t dilated(std::int64_t size, std::int64_t dilation) { return size == 0 ? 0 : 1 + (size - 1) * dilation; }

// The extent of axis i after dilation and padding.
std::int64_t padded_extent(std::string_view where, std::size_t i, const Triple& in, std::int64_t dilation,
                           const std::pair<std::int64_t, std::int64_t>& pads) {
  if (in[i] < 0 || in[i] > largest + 1)  // layers pass 2^31 for an extent that is not fixed
    throw ValueError(
        fmt::format("[{}] in_size: got {}; every entry must be at least 0, and at most 2^31", where, detail::str(in)));
  const std::int64_t extent = dilated(in[i], dilation);
  const auto [lo, hi] = pads;
  if (extent + std::min(lo, hi) < 0 || extent + lo + hi < 0)
    throw ValueError(fmt::format("[{}] padding: got ({}, {}) along {}, of extent {}; must not crop more than that",
                                 where, lo, hi, "HWD"[i], extent));
  return extent + lo + hi;
}

Conv3dProblem problem_of(std::int64_t batch, const Triple& in, const Triple& kernel, const Triple& out,
                         std::int64_t in_channels, std::int64_t out_channels, const Conv3dArgs& args) {
  Conv3dProblem p{};
  p.batch = batch;
  p.in_channels = in_channels;
  p.out_channels = out_channels;
  p.groups = args.groups;
  for (std::size_t i = 0; i < 3; ++i) {
    p.in_size[i] = in[i];
    p.out_size[i] = out[i];
    p.kernel_size[i] = kernel[i];
    p.stride[i] = args.stride[i];
    p.pad[i] = args.padding[i].first;
    p.lhs_dilation[i] = args.lhs_dilation[i];
    p.rhs_dilation[i] = args.rhs_dilation[i];
  }
  return p;
}

void check_channels(std::string_view where, std::int64_t in_channels, std::int64_t kernel_channels,
                    std::int64_t out_channels, std::int64_t groups) {
  if (out_channels < 1 || out_channels % groups != 0)
    throw ValueError(fmt::format("[{}] out_channels: got {}; must be a positive multiple of groups ({})", where,
                                 out_channels, groups));
  if (in_channels < 1 || in_channels % groups != 0)
    throw ValueError(fmt::format("[{}] in_channels: got {}; must be a positive multiple of groups ({})", where,
                                 in_channels, groups));
  if (kernel_channels != in_channels / groups)
    throw ValueError(
        fmt::format("[{}] w: has {} input channels per group; must be {} (x has {} channels, groups is {})", where,
                    kernel_channels, in_channels / groups, in_channels, groups));
}

void check_out(std::string_view where, const Triple& got, const Triple& wanted, std::int64_t got_channels,
               std::int64_t wanted_channels) {
  if (got != wanted || got_channels != wanted_channels)
    throw ValueError(
        fmt::format("[{}] grad: got spatial size {} and {} channels; must be {} and {}, the output of the convolution",
                    where, detail::str(got), got_channels, detail::str(wanted), wanted_channels));
}

Convolution convolution(const Conv3dProblem& p, Compute compute, DType dtype) {
  return {p, dtype == f32 && (compute == Compute::automatic ? autocast() : compute) == Compute::bf16};
}

// --- the three passes as ops, after all checks ---
//
// <y, grad> is linear in x, w and grad, and each pass is its derivative with respect to one of them, so the vjp of each
// pass consists of the other two.

Variable forward(const Variable& x, const Variable& w, const Convolution& c);
Variable grad_input(const Variable& grad, const Variable& w, const Convolution& c);
Variable grad_weight(const std::vector<Variable>& parts, const Variable& grad, const Convolution& c);

// The gradients of the parts of x, then that of w. With several parts, a fused op's vjp, nothing is recorded.
Grads conv_vjp(const std::vector<Variable>& parts, const Variable& w, const Convolution& c, const VjpContext& pull) {
  const std::size_t count = parts.size();
  bool needs_parts = false;
  for (std::size_t i = 0; i < count; ++i) needs_parts = needs_parts || pull.needs(i);
  Grads grads(count + 1);
  if (needs_parts && count == 1) {
    grads[0] = grad_input(pull.grad, w, c);
  } else if (needs_parts) {
    std::vector<Shape> shapes;
    for (const Variable& part : parts) shapes.push_back(part.shape());
    const std::vector<Tensor> dx = detail::conv_grad_input_value(pull.grad, w, c, shapes);
    for (std::size_t i = 0; i < count; ++i)
      if (pull.needs(i)) grads[i] = Variable(dx[i]);
  }
  if (pull.needs(count)) grads[count] = grad_weight(parts, pull.grad, c);
  return grads;
}

// The output is lazy. A lazy concatenation x is read in parts if all passes support that.
Variable forward(const Variable& x, const Variable& w, const Convolution& c) {
  std::vector<Variable> parts = detail::conv_parts(x, c), inputs = parts;
  const bool joined = parts.size() > 1;
  inputs.push_back(w);
  for (const Variable& part : parts) part.value();  // of successive convolutions only the last is lazy
  const auto vjp_of = [&](const std::vector<Variable>& of) -> Vjp {
    return [of, w, c](const VjpContext& pull) { return conv_vjp(of, w, c, pull); };
  };
  Vjp vjp = vjp_of(parts);
  const auto value_of = [](const detail::Lazy& conv, const kernels::Activation&, bool) {
    return dispatch_float("conv3d", conv.dtype,
                          [&](auto type) { return detail::conv_value<decltype(type)>(conv, {}); });
  };
  const auto lazy = std::make_shared<detail::Lazy>(fusion::Op::conv3d, detail::conv_shape(c.p), w.dtype(), value_of,
                                                   std::move(parts));
  lazy->w = w;
  lazy->conv = c;
  const Variable y = record_lazy("conv3d", lazy, std::move(inputs), std::move(vjp));
  detail::count_conv_multiply_adds(c.p);
  if (joined) record_unfused(y, "conv3d", {x, w}, vjp_of({x}));
  return y;
}

Variable grad_input(const Variable& grad, const Variable& w, const Convolution& c) {
  const Conv3dProblem& p = c.p;
  const Shape x_shape{p.batch, p.in_size[0], p.in_size[1], p.in_size[2], p.in_channels};
  std::vector<Tensor> dx = detail::conv_grad_input_value(grad, w, c, {x_shape});
  return record(
      "conv3d_grad_input", std::move(dx[0]), {grad, w},
      [grad, w, c](const VjpContext& pull) -> Grads {
        return {pull.needs(0) ? forward(pull.grad, w, c) : Variable{},
                pull.needs(1) ? grad_weight({pull.grad}, grad, c) : Variable{}};
      },
      SaveOutput::no);
}

// x may be in several parts with adjacent channels, which a fused vjp passes.
Variable grad_weight(const std::vector<Variable>& parts, const Variable& grad, const Convolution& c) {
  return record(
      "conv3d_grad_weight", detail::conv_grad_weight_value(parts, grad, c), {parts[0], grad},
      [x = parts[0], grad, c](const VjpContext& pull) -> Grads {
        return {pull.needs(0) ? grad_input(grad, pull.grad, c) : Variable{},
                pull.needs(1) ? forward(x, pull.grad, c) : Variable{}};
      },
      SaveOutput::no);
}

constexpr std::string_view x_layout = "(batch, height, width, depth, channels)";
constexpr std::string_view w_layout = "(kernel height, width, depth, in_channels / groups, out_channels)";
constexpr std::string_view grad_layout = "(batch, out height, width, depth, out_channels)";

}  // namespace

Triple conv3d_out_size(const Triple& in_size, const Triple& kernel_size, const Conv3dArgs& args,
                       std::string_view where) {
  check_args(where, args);
  check_positive(where, "kernel_size", kernel_size);
  Triple out{};
  for (std::size_t i = 0; i < 3; ++i) {
    const std::int64_t padded = padded_extent(where, i, in_size, args.lhs_dilation[i], args.padding[i]);
    const std::int64_t span = padded - dilated(kernel_size[i], args.rhs_dilation[i]);
    out[i] = span < 0 ? 0 : span / args.stride[i] + 1;
  }
  return out;
}

Variable conv3d(const Variable& x, const Variable& w, const Conv3dArgs& args) {
  check_operands("conv3d", "x", x, x_layout, w, w_layout);
  const Triple out = conv3d_out_size(spatial(x), kernel_of(w), args);
  check_channels("conv3d", x.dim(4), w.dim(3), w.dim(4), args.groups);
  const Conv3dProblem p = problem_of(x.dim(0), spatial(x), kernel_of(w), out, x.dim(4), w.dim(4), args);
  return forward(x, w, convolution(p, args.compute, x.dtype()));
}

Variable conv3d_grad_input(const Variable& grad, const Variable& w, const Triple& in_size, const Conv3dArgs& args) {
  check_operands("conv3d_grad_input", "grad", grad, grad_layout, w, w_layout);
  const Triple out = conv3d_out_size(in_size, kernel_of(w), args, "conv3d_grad_input");
  std::int64_t channels = 0;
  if (__builtin_mul_overflow(w.dim(3), args.groups, &channels))
    throw ValueError(
        fmt::format("[conv3d_grad_input] groups: got {}; w has {} input channels per group, which is too many",
                    args.groups, w.dim(3)));
  check_channels("conv3d_grad_input", channels, w.dim(3), w.dim(4), args.groups);
  check_out("conv3d_grad_input", spatial(grad), out, grad.dim(4), w.dim(4));
  const Conv3dProblem p = problem_of(grad.dim(0), in_size, kernel_of(w), out, channels, w.dim(4), args);
  return grad_input(grad, w, convolution(p, args.compute, grad.dtype()));
}

Variable conv3d_grad_weight(const Variable& x, const Variable& grad, const Triple& kernel_size,
                            const Conv3dArgs& args) {
  check_operand("conv3d_grad_weight", "x", x, x_layout);
  check_operand("conv3d_grad_weight", "grad", grad, grad_layout);
  if (grad.dtype() != x.dtype())
    throw TypeError(
        fmt::format("[conv3d_grad_weight] grad: got {}; must be {} as x", name_of(grad.dtype()), name_of(x.dtype())));
  const Triple out = conv3d_out_size(spatial(x), kernel_size, args, "conv3d_grad_weight");
  check_channels("conv3d_grad_weight", x.dim(4), x.dim(4) / args.groups, grad.dim(4), args.groups);
  check_out("conv3d_grad_weight", spatial(grad), out, grad.dim(4), grad.dim(4));
  if (x.dim(0) != grad.dim(0))
    throw ValueError(
        fmt::format("[conv3d_grad_weight] grad: its batch is {}; must be {} as x's", grad.dim(0), x.dim(0)));
  const Conv3dProblem p = problem_of(x.dim(0), spatial(x), kernel_size, out, x.dim(4), grad.dim(4), args);
  return grad_weight({x}, grad, convolution(p, args.compute, x.dtype()));
}

// Output i uses input m through tap k of the flipped kernel when m * stride = i - lo + (k_eff - 1) - k * dilation. This
// is the gradient with respect to the input (i) of a convolution with output m, stride `stride` and low padding k_eff -
// 1 - lo, so that no zeros are inserted and nothing is flipped. With groups, w is (k..., O, C / groups), its output
// channels split over the groups. The transposed convolution has O / groups inputs per group and C outputs, which are
// the same values in another order.
Variable conv_transpose3d(const Variable& x, const Variable& w, const ConvTranspose3dArgs& args) {
  constexpr std::string_view where = "conv_transpose3d";
  check_operands(where, "x", x, x_layout, w, "(kernel height, width, depth, out_channels, in_channels / groups)");
  Conv3dArgs of{.stride = args.stride, .rhs_dilation = args.rhs_dilation, .groups = args.groups};
  of.padding = args.padding;
  check_args(where, of);
  check_positive(where, "kernel_size", kernel_of(w));
  const std::int64_t in_channels = x.dim(4), out_channels = w.dim(3), groups = args.groups;
  check_channels(where, in_channels, w.dim(4), out_channels, groups);
  Triple out{};
  for (std::size_t i = 0; i < 3; ++i) {
    const std::int64_t k = dilated(kernel_of(w)[i], args.rhs_dilation[i]);
    const auto [lo, hi] = args.padding[i];
    out[i] = std::max<std::int64_t>(0, padded_extent(where, i, spatial(x), args.stride[i], args.padding[i]) - k + 1);
    of.padding[i] = {k - 1 - lo, k - 1 - hi};
  }
  Variable kernel = w;
  if (groups > 1) {
    const std::int64_t o = out_channels / groups, c = in_channels / groups;
    const std::vector<std::int64_t> k{w.dim(0), w.dim(1), w.dim(2)};
    kernel = transpose(reshape(w, {k[0], k[1], k[2], groups, o, c}), {0, 1, 2, 4, 3, 5});
    kernel = reshape(kernel, {k[0], k[1], k[2], o, in_channels});
  }
  const Conv3dProblem p = problem_of(x.dim(0), out, kernel_of(w), spatial(x), out_channels, in_channels, of);
  return grad_input(x, kernel, convolution(p, args.compute, x.dtype()));
}

}  // namespace vg
