#include "framework/ops/conv3d.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <type_traits>

#include "framework/error.hpp"
#include "framework/kernels/bf16.hpp"
#include "framework/kernels/conv3d.hpp"
#include "framework/op_count.hpp"
#include "framework/ops/detail/concat.hpp"
#include "framework/ops/shape_ops.hpp"

namespace vg {

namespace {

using kernels::Conv3dProblem;

constexpr std::int64_t largest = 2147483647;  // of a stride, dilation or pad: keeps every product of sizes in 64 bits

std::string str(const Triple& t) { return fmt::format("({}, {}, {})", t[0], t[1], t[2]); }

void check_positive(std::string_view where, std::string_view name, const Triple& t) {
  for (auto v : t)
    if (v < 1 || v > largest)
      throw ValueError(fmt::format("[{}] {}: got {}; every entry must be in [1, {}]", where, name, str(t), largest));
}

void check_args(std::string_view where, const Conv3dArgs& args) {
  check_positive(where, "stride", args.stride);
  check_positive(where, "lhs_dilation", args.lhs_dilation);
  check_positive(where, "rhs_dilation", args.rhs_dilation);
  if (args.groups < 1) throw ValueError(fmt::format("[{}] groups: got {}; must be at least 1", where, args.groups));
  for (auto [lo, hi] : args.padding)
    if (std::max(std::abs(lo), std::abs(hi)) > largest)
      throw ValueError(
          fmt::format("[{}] padding: got ({}, {}); every entry must be in [-{}, {}]", where, lo, hi, largest, largest));
}

// One operand: rank 5 and the dtype of the other.
void check_operand(std::string_view where, std::string_view name, const Variable& v, std::string_view layout,
                   DType dtype) {
  if (v.rank() != 5)
    throw ValueError(fmt::format("[{}] {}: got shape {}; must be of rank 5, {}", where, name, v.shape().str(), layout));
  if (!is_float(v.dtype()))
    throw TypeError(fmt::format("[{}] {}: got {}; must be f32 or f64", where, name, name_of(v.dtype())));
  if (v.dtype() != dtype)
    throw TypeError(fmt::format("[{}] {}: got {}; must be {} as the other operand", where, name, name_of(v.dtype()),
                                name_of(dtype)));
}

Triple spatial(const Variable& v) { return {v.dim(1), v.dim(2), v.dim(3)}; }
Triple kernel_of(const Variable& w) { return {w.dim(0), w.dim(1), w.dim(2)}; }

std::int64_t dilated(std::int64_t size, std::int64_t dilation) { return size == 0 ? 0 : 1 + (size - 1) * dilation; }

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
  if (kernel_channels * groups != in_channels)
    throw ValueError(fmt::format("[{}] w: has {} input channels a group; must be {} (x has {} channels, groups is {})",
                                 where, kernel_channels, in_channels / groups, in_channels, groups));
}

void check_out(std::string_view where, const Triple& got, const Triple& wanted, std::int64_t got_channels,
               std::int64_t wanted_channels) {
  if (got != wanted || got_channels != wanted_channels)
    throw ValueError(
        fmt::format("[{}] grad: got spatial size {} and {} channels; must be {} and {}, the output of the convolution",
                    where, str(got), got_channels, str(wanted), wanted_channels));
}

Shape x_shape(const Conv3dProblem& p) { return {p.batch, p.in_size[0], p.in_size[1], p.in_size[2], p.in_channels}; }
Shape w_shape(const Conv3dProblem& p) {
  return {p.kernel_size[0], p.kernel_size[1], p.kernel_size[2], p.in_channels / p.groups, p.out_channels};
}
Shape y_shape(const Conv3dProblem& p) { return {p.batch, p.out_size[0], p.out_size[1], p.out_size[2], p.out_channels}; }

// Each pass meets the same (output, tap, input) triples; padding counts, zeros put in by lhs_dilation do not.
void count_multiply_adds_of(const Conv3dProblem& p) {
  std::int64_t n = p.batch * p.out_channels * (p.in_channels / p.groups);
  for (int i = 0; i < 3; ++i) n = n * p.out_size[i] * p.kernel_size[i] / p.lhs_dilation[i];
  count_multiply_adds(n);
}

/// A problem, and whether its operands are multiplied in bf16: gradients are computed as their op was, wherever that
/// is.
struct Convolution {
  Conv3dProblem p;
  bool bf16;
};

Convolution convolution(const Conv3dProblem& p, Compute compute, DType dtype) {
  return {p, dtype == f32 && (compute == Compute::automatic ? autocast() : compute) == Compute::bf16};
}

// The three passes. <y, grad> is linear in x, w and grad, and each pass is its derivative by one of them: so the vjp of
// each pass is made of the other two.
Variable forward(const Variable& x, const Variable& w, const Convolution& c);
Variable grad_input(const Variable& grad, const Variable& w, const Convolution& c);
Variable grad_weight(const Variable& x, const Variable& grad, const Convolution& c);

Variable forward(const Variable& x, const Variable& w, const Convolution& c) {
  Tensor y(y_shape(c.p), x.dtype());
  count_multiply_adds_of(c.p);
  dispatch_float("conv3d", x.dtype(), [&](auto type) {
    using T = decltype(type);
    if constexpr (std::is_same_v<T, float>)
      if (c.bf16) return kernels::conv3d_forward_bf16(c.p, x.value().data<T>(), w.value().data<T>(), y.data<T>());
    kernels::conv3d_forward<T>(c.p, x.value().data<T>(), w.value().data<T>(), y.data<T>());
  });
  return record(
      "conv3d", std::move(y), {x, w},
      [x, w, c](const Pull& pull) -> Grads {
        return {pull.needs(0) ? grad_input(pull.grad, w, c) : Variable{},
                pull.needs(1) ? grad_weight(x, pull.grad, c) : Variable{}};
      },
      Output::dropped);
}

Variable grad_input(const Variable& grad, const Variable& w, const Convolution& c) {
  Tensor dx(x_shape(c.p), grad.dtype());
  count_multiply_adds_of(c.p);
  dispatch_float("conv3d_grad_input", grad.dtype(), [&](auto type) {
    using T = decltype(type);
    if constexpr (std::is_same_v<T, float>)
      if (c.bf16)
        return kernels::conv3d_grad_input_bf16(c.p, grad.value().data<T>(), w.value().data<T>(), dx.data<T>());
    kernels::conv3d_grad_input<T>(c.p, grad.value().data<T>(), w.value().data<T>(), dx.data<T>());
  });
  return record(
      "conv3d_grad_input", std::move(dx), {grad, w},
      [grad, w, c](const Pull& pull) -> Grads {
        return {pull.needs(0) ? forward(pull.grad, w, c) : Variable{},
                pull.needs(1) ? grad_weight(pull.grad, grad, c) : Variable{}};
      },
      Output::dropped);
}

Variable grad_weight(const Variable& x, const Variable& grad, const Convolution& c) {
  Tensor dw(w_shape(c.p), x.dtype());
  count_multiply_adds_of(c.p);
  dispatch_float("conv3d_grad_weight", x.dtype(), [&](auto type) {
    using T = decltype(type);
    if constexpr (std::is_same_v<T, float>)
      if (c.bf16)
        return kernels::conv3d_grad_weight_bf16(c.p, x.value().data<T>(), grad.value().data<T>(), dw.data<T>());
    kernels::conv3d_grad_weight<T>(c.p, x.value().data<T>(), grad.value().data<T>(), dw.data<T>());
  });
  return record(
      "conv3d_grad_weight", std::move(dw), {x, grad},
      [x, grad, c](const Pull& pull) -> Grads {
        return {pull.needs(0) ? grad_input(grad, pull.grad, c) : Variable{},
                pull.needs(1) ? forward(x, pull.grad, c) : Variable{}};
      },
      Output::dropped);
}

// --- x in several tensors, of channels side by side (a concatenation that has not been computed) ---

template <class T, class Get>
kernels::Joined<T> join(std::size_t count, const Get& get, const std::vector<Variable>& parts) {
  kernels::Joined<T> joined{};
  for (std::size_t i = 0; i < count; ++i) {
    joined.data[i] = get(i);
    joined.channels[i] = parts[i].dim(-1);
  }
  joined.count = static_cast<int>(count);
  return joined;
}

template <class T>
kernels::Joined<const T> values_of(const std::vector<Variable>& parts) {
  return join<const T>(
      parts.size(), [&](std::size_t i) -> const T* { return parts[i].value().data<T>(); }, parts);
}

// The parts of x, where all passes read and write them as they are; else none.
std::vector<Variable> parts_of(const Variable& x, const Convolution& c) {
  const std::vector<Variable> parts = c.bf16 ? std::vector<Variable>() : detail::pending_concat(x);
  std::vector<std::int64_t> channels;
  for (const Variable& part : parts) channels.push_back(part.dim(-1));
  bool taken = !parts.empty();
  dispatch_float("conv3d", x.dtype(), [&](auto type) {
    using T = decltype(type);
    for (const auto pass : {kernels::Pass::forward, kernels::Pass::grad_input, kernels::Pass::grad_weight})
      taken = taken && kernels::conv3d_takes_joined<T>(c.p, pass, channels.data(), channels.size());
  });
  return taken ? parts : std::vector<Variable>();
}

// Of the parts, then of w.
Grads grads_of_joined(const std::vector<Variable>& parts, const Variable& w, const Convolution& c, const Pull& pull) {
  const std::size_t count = parts.size();
  bool needs_parts = false;
  for (std::size_t i = 0; i < count; ++i) needs_parts = needs_parts || pull.needs(i);
  Grads grads(count + 1);
  if (recording()) {
    const Variable dx = needs_parts ? grad_input(pull.grad, w, c) : Variable();
    std::int64_t start = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (pull.needs(i)) grads[i] = slice(dx, -1, {start, start + parts[i].dim(-1)});
      start += parts[i].dim(-1);
    }
    if (pull.needs(count)) grads[count] = grad_weight(concat(parts, -1), pull.grad, c);
    return grads;
  }
  dispatch_float("conv3d", w.dtype(), [&](auto type) {
    using T = decltype(type);
    const T* const dy = pull.grad.value().data<T>();
    if (needs_parts) {
      count_multiply_adds_of(c.p);
      std::vector<Tensor> dx;
      for (const Variable& part : parts) dx.emplace_back(part.shape(), part.dtype());
      kernels::conv3d_grad_input_joined(c.p, dy, w.value().data<T>(),
                                        join<T>(
                                            count, [&](std::size_t i) { return dx[i].data<T>(); }, parts));
      for (std::size_t i = 0; i < count; ++i)
        if (pull.needs(i)) grads[i] = Variable(dx[i]);
    }
    if (pull.needs(count)) {
      count_multiply_adds_of(c.p);
      Tensor dw(w.shape(), w.dtype());
      kernels::conv3d_grad_weight_joined(c.p, values_of<T>(parts), dy, dw.data<T>());
      grads[count] = Variable(dw);
    }
  });
  return grads;
}

Variable forward_joined(const std::vector<Variable>& parts, const Variable& w, const Convolution& c) {
  Tensor y(y_shape(c.p), w.dtype());
  count_multiply_adds_of(c.p);
  dispatch_float("conv3d", w.dtype(), [&](auto type) {
    using T = decltype(type);
    kernels::conv3d_forward_joined(c.p, values_of<T>(parts), w.value().data<T>(), y.data<T>());
  });
  std::vector<Variable> inputs = parts;
  inputs.push_back(w);
  return record(
      "conv3d", std::move(y), inputs,
      [parts, w, c](const Pull& pull) -> Grads { return grads_of_joined(parts, w, c, pull); }, Output::dropped);
}

constexpr std::string_view x_layout = "(batch, height, width, depth, channels)";
constexpr std::string_view w_layout = "(kernel height, width, depth, in_channels / groups, out_channels)";
constexpr std::string_view grad_layout = "(batch, out height, width, depth, out_channels)";

}  // namespace

Triple conv3d_out_size(const Triple& in_size, const Triple& kernel_size, const Conv3dArgs& args) {
  check_args("conv3d", args);
  check_positive("conv3d", "kernel_size", kernel_size);
  Triple out{};
  for (std::size_t i = 0; i < 3; ++i) {
    if (in_size[i] < 0)
      throw ValueError(fmt::format("[conv3d] in_size: got {}; no entry may be negative", str(in_size)));
    const std::int64_t span = dilated(in_size[i], args.lhs_dilation[i]) + args.padding[i].first +
                              args.padding[i].second - dilated(kernel_size[i], args.rhs_dilation[i]);
    out[i] = span < 0 ? 0 : span / args.stride[i] + 1;
  }
  return out;
}

Variable conv3d(const Variable& x, const Variable& w, const Conv3dArgs& args) {
  check_operand("conv3d", "x", x, x_layout, x.dtype());
  check_operand("conv3d", "w", w, w_layout, x.dtype());
  const Triple out = conv3d_out_size(spatial(x), kernel_of(w), args);
  check_channels("conv3d", x.dim(4), w.dim(3), w.dim(4), args.groups);
  const Conv3dProblem p = problem_of(x.dim(0), spatial(x), kernel_of(w), out, x.dim(4), w.dim(4), args);
  const Convolution c = convolution(p, args.compute, x.dtype());
  const std::vector<Variable> parts = parts_of(x, c);
  return parts.empty() ? forward(x, w, c) : forward_joined(parts, w, c);
}

Variable conv3d_grad_input(const Variable& grad, const Variable& w, const Triple& in_size, const Conv3dArgs& args) {
  check_operand("conv3d_grad_input", "grad", grad, grad_layout, grad.dtype());
  check_operand("conv3d_grad_input", "w", w, w_layout, grad.dtype());
  const Triple out = conv3d_out_size(in_size, kernel_of(w), args);
  check_channels("conv3d_grad_input", w.dim(3) * args.groups, w.dim(3), w.dim(4), args.groups);
  check_out("conv3d_grad_input", spatial(grad), out, grad.dim(4), w.dim(4));
  const Conv3dProblem p = problem_of(grad.dim(0), in_size, kernel_of(w), out, w.dim(3) * args.groups, w.dim(4), args);
  return grad_input(grad, w, convolution(p, args.compute, grad.dtype()));
}

Variable conv3d_grad_weight(const Variable& x, const Variable& grad, const Triple& kernel_size,
                            const Conv3dArgs& args) {
  check_operand("conv3d_grad_weight", "x", x, x_layout, x.dtype());
  check_operand("conv3d_grad_weight", "grad", grad, grad_layout, x.dtype());
  const Triple out = conv3d_out_size(spatial(x), kernel_size, args);
  check_channels("conv3d_grad_weight", x.dim(4), x.dim(4) / args.groups, grad.dim(4), args.groups);
  check_out("conv3d_grad_weight", spatial(grad), out, grad.dim(4), grad.dim(4));
  if (x.dim(0) != grad.dim(0))
    throw ValueError(
        fmt::format("[conv3d_grad_weight] grad: its batch is {}; must be {} as x's", grad.dim(0), x.dim(0)));
  const Conv3dProblem p = problem_of(x.dim(0), spatial(x), kernel_size, out, x.dim(4), grad.dim(4), args);
  return grad_weight(x, grad, convolution(p, args.compute, x.dtype()));
}

// Output i and input m meet at tap k of the flipped kernel when m * stride = i - lo + (k_eff - 1) - k * dilation: that
// is the gradient with respect to the input (i) of a convolution whose output is m, with stride `stride` and low
// padding k_eff - 1 - lo. So no zero is inserted and nothing is flipped. With groups, w is (k..., O, C / groups) where
// output channels are split over the groups; the convolution that it transposes has O / groups inputs a group and C
// outputs, which is the same numbers moved.
Variable conv_transpose3d(const Variable& x, const Variable& w, const ConvTranspose3dArgs& args) {
  constexpr std::string_view where = "conv_transpose3d";
  check_operand(where, "x", x, x_layout, x.dtype());
  check_operand(where, "w", w, "(kernel height, width, depth, out_channels, in_channels / groups)", x.dtype());
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
    out[i] = std::max<std::int64_t>(0, dilated(spatial(x)[i], args.stride[i]) + lo + hi - k + 1);
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
