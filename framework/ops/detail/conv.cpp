#include "voxgrad/framework/ops/detail/conv.hpp"

#include <algorithm>
#include <type_traits>

#include "voxgrad/framework/base/op_count.hpp"
#include "voxgrad/framework/kernels/bf16/bf16.hpp"
#include "voxgrad/framework/kernels/conv3d.hpp"
#include "voxgrad/framework/ops/detail/lazy.hpp"
#include "voxgrad/framework/ops/shape_ops.hpp"

namespace vg::detail {

namespace {

using kernels::Conv3dProblem;
using kernels::Pass;

Shape x_shape(const Conv3dProblem& p) { return {p.batch, p.in_size[0], p.in_size[1], p.in_size[2], p.in_channels}; }
Shape w_shape(const Conv3dProblem& p) {
  return {p.kernel_size[0], p.kernel_size[1], p.kernel_size[2], p.in_channels / p.groups, p.out_channels};
}
Shape y_shape(const Conv3dProblem& p) { return {p.batch, p.out_size[0], p.out_size[1], p.out_size[2], p.out_channels}; }

// All passes have the same (output, tap, input) triples. Padding counts; zeros inserted by lhs_dilation do not.
void count_multiply_adds_of(const Conv3dProblem& p) {
  if (y_shape(p).numel() == 0) return;  // without outputs the extents are unbounded, and n could overflow
  std::int64_t n = p.batch * p.out_channels * (p.in_channels / p.groups);
  for (int i = 0; i < 3; ++i) n = n * p.out_size[i] * p.kernel_size[i] / p.lhs_dilation[i];
  count_multiply_adds(n);
}

// --- x as several tensors with adjacent channels (a lazy concatenation) ---

template <class T, class Parts, class Data>
kernels::ConcatView<T> view_of(Parts& parts, const Data& data) {
  kernels::ConcatView<T> view{};
  for (auto& part : parts) {
    view.data[view.count] = data(part);
    view.channels[view.count++] = part.shape().back();
  }
  return view;
}

template <class T>
kernels::ConcatView<const T> values_of(const std::vector<Variable>& parts) {
  return view_of<const T>(parts, [](const Variable& part) { return part.value().data<T>(); });
}

// Whether a pass reads and writes the parts in place.
bool takes(const std::vector<Variable>& parts, const Convolution& c, Pass pass) {
  std::vector<std::int64_t> channels;
  for (const Variable& part : parts) channels.push_back(part.dim(-1));
  return dispatch_float("conv3d", parts[0].dtype(), [&](auto type) {
    return kernels::conv3d_supports_concat<decltype(type)>(c.p, pass, channels.data(), channels.size());
  });
}

// The parts of x if all passes support them in place, else x.
std::vector<Variable> parts_of(const Variable& x, const Convolution& c) {
  const auto joined = c.bf16 ? nullptr : absorbed(x, fusion::Op::conv3d);
  const bool taken = joined && takes(joined->parts, c, Pass::forward) && takes(joined->parts, c, Pass::grad_input) &&
                     takes(joined->parts, c, Pass::grad_weight);
  return taken ? joined->parts : std::vector<Variable>{x};
}

void compute_grad_input(const Variable& grad, const Variable& w, const Convolution& c, std::vector<Tensor>& dx) {
  count_multiply_adds_of(c.p);
  dispatch_float("conv3d_grad_input", grad.dtype(), [&](auto type) {
    using T = decltype(type);
    const T *const dy = grad.value().data<T>(), *const weights = w.value().data<T>();
    if constexpr (std::is_same_v<T, float>)
      if (c.bf16) return kernels::conv3d_grad_input_bf16(c.p, dy, weights, dx[0].data<T>());
    kernels::conv3d_grad_input_concat(c.p, dy, weights, view_of<T>(dx, [](Tensor& part) { return part.data<T>(); }));
  });
}

// The gradients of the parts of x, then that of w. With several parts, a fused op's vjp, nothing is recorded.
Grads conv_vjp(const std::vector<Variable>& parts, const Variable& w, const Convolution& c, const VjpContext& pull) {
  const std::size_t count = parts.size();
  bool needs_parts = false;
  for (std::size_t i = 0; i < count; ++i) needs_parts = needs_parts || pull.needs(i);
  Grads grads(count + 1);
  if (needs_parts && count == 1) {
    grads[0] = conv_grad_input(pull.grad, w, c);
  } else if (needs_parts) {
    const OpGuard scope("conv3d_grad_input");
    std::vector<Tensor> dx;
    for (const Variable& part : parts) dx.emplace_back(part.shape(), part.dtype());
    compute_grad_input(pull.grad, w, c, dx);
    for (std::size_t i = 0; i < count; ++i)
      if (pull.needs(i)) grads[i] = Variable(dx[i]);
  }
  if (pull.needs(count)) grads[count] = conv_grad_weight(parts, pull.grad, c);
  return grads;
}

}  // namespace

template <class T>
Tensor conv_value(const Lazy& conv, const kernels::Epilogue<T>& epilogue) {
  const OpGuard scope("conv3d");
  const Convolution& c = conv.conv;
  // the kernel set may have changed since the op was recorded
  const bool in_place = conv.parts.size() == 1 || takes(conv.parts, c, Pass::forward);
  const std::vector<Variable> whole =
      in_place ? std::vector<Variable>() : std::vector<Variable>{concat(conv.parts, -1)};
  const std::vector<Variable>& x = in_place ? conv.parts : whole;
  Tensor y(conv.shape, conv.dtype);
  const T* const w = conv.w.value().data<T>();
  if constexpr (std::is_same_v<T, float>)
    if (c.bf16) {
      kernels::conv3d_forward_bf16(c.p, x[0].value().data<T>(), w, y.data<T>(), epilogue);
      return y;
    }
  kernels::conv3d_forward_concat<T>(c.p, values_of<T>(x), w, y.data<T>(), epilogue);
  return y;
}
template Tensor conv_value(const Lazy&, const kernels::Epilogue<float>&);
template Tensor conv_value(const Lazy&, const kernels::Epilogue<double>&);

kernels::Moments conv_moments(const Variable& x, const Lazy& conv) {
  const Conv3dProblem& p = conv.conv.p;
  kernels::Moments moments(p.out_size[0] * p.out_size[1] * p.out_size[2], p.out_channels);
  dispatch_float("conv3d", x.dtype(),
                 [&](auto type) { materialize(x, conv_value(conv, kernels::Epilogue<decltype(type)>(moments))); });
  return moments;
}

Variable conv_forward(const Variable& x, const Variable& w, const Convolution& c) {
  std::vector<Variable> parts = parts_of(x, c), inputs = parts;
  const bool joined = parts.size() > 1;
  inputs.push_back(w);
  for (const Variable& part : parts) part.value();  // of successive convolutions only the last is lazy
  const auto vjp_of = [&](const std::vector<Variable>& of) -> Vjp {
    return [of, w, c](const VjpContext& pull) { return conv_vjp(of, w, c, pull); };
  };
  Vjp vjp = vjp_of(parts);
  const auto value_of = [](const Lazy& conv, const kernels::Activation&, bool) {
    return dispatch_float("conv3d", conv.dtype, [&](auto type) { return conv_value<decltype(type)>(conv, {}); });
  };
  const auto lazy = std::make_shared<Lazy>(fusion::Op::conv3d, y_shape(c.p), w.dtype(), value_of, std::move(parts));
  lazy->w = w;
  lazy->conv = c;
  const Variable y = record_lazy("conv3d", lazy, std::move(inputs), std::move(vjp));
  count_multiply_adds_of(c.p);
  if (joined) record_unfused(y, "conv3d", {x, w}, vjp_of({x}));
  return y;
}

Variable conv_grad_input(const Variable& grad, const Variable& w, const Convolution& c) {
  const OpGuard scope("conv3d_grad_input");
  std::vector<Tensor> dx;
  dx.emplace_back(x_shape(c.p), grad.dtype());
  compute_grad_input(grad, w, c, dx);
  return record(
      "conv3d_grad_input", std::move(dx[0]), {grad, w},
      [grad, w, c](const VjpContext& pull) -> Grads {
        return {pull.needs(0) ? conv_forward(pull.grad, w, c) : Variable{},
                pull.needs(1) ? conv_grad_weight({pull.grad}, grad, c) : Variable{}};
      },
      SaveOutput::no);
}

Variable conv_grad_weight(const std::vector<Variable>& parts, const Variable& grad, const Convolution& c) {
  const OpGuard scope("conv3d_grad_weight");
  Tensor dw(w_shape(c.p), grad.dtype());
  count_multiply_adds_of(c.p);
  dispatch_float("conv3d_grad_weight", grad.dtype(), [&](auto type) {
    using T = decltype(type);
    const auto x = values_of<T>(parts);
    const T* const dy = grad.value().data<T>();
    if constexpr (std::is_same_v<T, float>)
      if (c.bf16) return kernels::conv3d_grad_weight_bf16(c.p, x.data[0], dy, dw.data<T>());
    kernels::conv3d_grad_weight_concat<T>(c.p, x, dy, dw.data<T>());
  });
  return record(
      "conv3d_grad_weight", std::move(dw), {parts[0], grad},
      [x = parts[0], grad, c](const VjpContext& pull) -> Grads {
        return {pull.needs(0) ? conv_grad_input(grad, pull.grad, c) : Variable{},
                pull.needs(1) ? conv_forward(x, pull.grad, c) : Variable{}};
      },
      SaveOutput::no);
}

}  // namespace vg::detail
