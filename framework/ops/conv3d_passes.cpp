#include <algorithm>
#include <type_traits>

#include "voxgrad/framework/autograd/lazy.hpp"
#include "voxgrad/framework/base/op_count.hpp"
#include "voxgrad/framework/kernels/bf16/bf16.hpp"
#include "voxgrad/framework/kernels/conv3d.hpp"
#include "voxgrad/framework/ops/detail/concat.hpp"
#include "voxgrad/framework/ops/detail/conv.hpp"
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

template <class T, class Get>
kernels::ConcatView<T> join(std::size_t count, const Get& get, const std::vector<Variable>& parts) {
  kernels::ConcatView<T> joined{};
  for (std::size_t i = 0; i < count; ++i) {
    joined.data[i] = get(i);
    joined.channels[i] = parts[i].dim(-1);
  }
  joined.count = static_cast<int>(count);
  return joined;
}

template <class T>
kernels::ConcatView<const T> values_of(const std::vector<Variable>& parts) {
  return join<const T>(
      parts.size(), [&](std::size_t i) -> const T* { return parts[i].value().data<T>(); }, parts);
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
  const std::vector<Variable> parts = c.bf16 ? std::vector<Variable>() : lazy_concat(x);
  const bool taken = !parts.empty() && takes(parts, c, Pass::forward) && takes(parts, c, Pass::grad_input) &&
                     takes(parts, c, Pass::grad_weight);
  return taken ? parts : std::vector<Variable>{x};
}

// The gradients of the parts, then that of w.
Grads grads_of_joined(const std::vector<Variable>& parts, const Variable& w, const Convolution& c,
                      const VjpContext& pull) {
  const std::size_t count = parts.size();
  bool needs_parts = false;
  for (std::size_t i = 0; i < count; ++i) needs_parts = needs_parts || pull.needs(i);
  Grads grads(count + 1);
  dispatch_float("conv3d", w.dtype(), [&](auto type) {
    using T = decltype(type);
    const T* const dy = pull.grad.value().data<T>();
    if (needs_parts) {
      count_multiply_adds_of(c.p);
      std::vector<Tensor> dx;
      for (const Variable& part : parts) dx.emplace_back(part.shape(), part.dtype());
      kernels::conv3d_grad_input_concat(c.p, dy, w.value().data<T>(),
                                        join<T>(
                                            count, [&](std::size_t i) { return dx[i].data<T>(); }, parts));
      for (std::size_t i = 0; i < count; ++i)
        if (pull.needs(i)) grads[i] = Variable(dx[i]);
    }
    if (pull.needs(count)) {
      count_multiply_adds_of(c.p);
      Tensor dw(w.shape(), w.dtype());
      kernels::conv3d_grad_weight_concat(c.p, values_of<T>(parts), dy, dw.data<T>());
      grads[count] = Variable(dw);
    }
  });
  return grads;
}

// ---- forward ----

template <class T>
Tensor forward_value(const std::vector<Variable>& x, const Variable& w, const Convolution& c,
                     const kernels::Epilogue<T>& epilogue) {
  const OpGuard scope("conv3d");
  // the kernel set may have changed since the op was recorded
  if (x.size() > 1 && !takes(x, c, Pass::forward)) return forward_value<T>({concat(x, -1)}, w, c, epilogue);
  Tensor y(y_shape(c.p), w.dtype());
  if constexpr (std::is_same_v<T, float>)
    if (c.bf16) {
      kernels::conv3d_forward_bf16(c.p, x[0].value().data<T>(), w.value().data<T>(), y.data<T>(), epilogue);
      return y;
    }
  kernels::conv3d_forward_concat<T>(c.p, values_of<T>(x), w.value().data<T>(), y.data<T>(), epilogue);
  return y;
}

// A convolution is lazy so that the next op can use its outputs while they are in a cache: a normalisation collects its
// statistics there, and a bias and an activation are applied.
class LazyConv : public LazyOp {
 public:
  LazyConv(std::vector<Variable> x, Variable w, const Convolution& c)
      : LazyOp(y_shape(c.p), w.dtype()), x_(std::move(x)), w_(std::move(w)), c_(c) {}
  Tensor compute() const override {
    return dispatch_float("conv3d", dtype(), [&](auto type) { return compute<decltype(type)>({}); });
  }
  template <class T>
  Tensor compute(const kernels::Epilogue<T>& epilogue) const {
    return forward_value<T>(x_, w_, c_, epilogue);
  }
  kernels::Moments no_moments() const {
    return {c_.p.out_size[0] * c_.p.out_size[1] * c_.p.out_size[2], c_.p.out_channels};
  }

 private:
  std::vector<Variable> x_;
  Variable w_;
  Convolution c_;
};

std::shared_ptr<const LazyConv> lazy_conv(const Variable& v) {
  return std::dynamic_pointer_cast<const LazyConv>(lazy_op_of(v));
}

}  // namespace

Variable conv_forward(const Variable& x, const Variable& w, const Convolution& c) {
  const std::vector<Variable> parts = parts_of(x, c);
  const bool joined = parts.size() > 1;
  std::vector<Variable> inputs = parts;
  inputs.push_back(w);
  const auto vjp_by = [w, c](const Variable& input) -> Vjp {
    return [input, w, c](const VjpContext& pull) -> Grads {
      return {pull.needs(0) ? conv_grad_input(pull.grad, w, c) : Variable{},
              pull.needs(1) ? conv_grad_weight(input, pull.grad, c) : Variable{}};
    };
  };
  const auto vjp_by_parts = [parts, w, c](const VjpContext& pull) { return grads_of_joined(parts, w, c, pull); };
  const Vjp vjp = joined ? Vjp(vjp_by_parts) : vjp_by(x);
  // an output that is too large for any memory must be an error of this call, so it is not lazy
  constexpr std::int64_t most_elements = std::int64_t{1} << 40;
  const bool may_be_lazy = y_shape(c.p).numel() < most_elements;
  for (const Variable& part : parts) part.value();  // of successive convolutions only the last is lazy
  const auto how = std::make_shared<LazyConv>(parts, w, c);
  Tensor value = may_be_lazy ? Tensor() : how->compute();
  count_multiply_adds_of(c.p);
  const Variable y = may_be_lazy ? record_lazy("conv3d", how, inputs, vjp)
                                 : record("conv3d", std::move(value), inputs, vjp, SaveOutput::no);
  if (joined) record_unfused(y, "conv3d", {x, w}, vjp_by(x));
  return y;
}

Variable conv_grad_input(const Variable& grad, const Variable& w, const Convolution& c) {
  const OpGuard scope("conv3d_grad_input");
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
      [grad, w, c](const VjpContext& pull) -> Grads {
        return {pull.needs(0) ? conv_forward(pull.grad, w, c) : Variable{},
                pull.needs(1) ? conv_grad_weight(pull.grad, grad, c) : Variable{}};
      },
      SaveOutput::no);
}

Variable conv_grad_weight(const Variable& x, const Variable& grad, const Convolution& c) {
  const OpGuard scope("conv3d_grad_weight");
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
      [x, grad, c](const VjpContext& pull) -> Grads {
        return {pull.needs(0) ? conv_grad_input(grad, pull.grad, c) : Variable{},
                pull.needs(1) ? conv_forward(x, pull.grad, c) : Variable{}};
      },
      SaveOutput::no);
}

std::optional<kernels::Moments> lazy_moments(const Variable& v) {
  const auto conv = lazy_conv(v);
  if (!conv) return std::nullopt;
  kernels::Moments moments = conv->no_moments();
  dispatch_float("conv3d", v.dtype(),
                 [&](auto type) { materialize(v, conv->compute(kernels::Epilogue<decltype(type)>(moments))); });
  return moments;
}

template <class T>
Tensor conv_with_epilogue(const Variable& v, const kernels::ChannelMap<T>& map) {
  const auto conv = v.unique() ? lazy_conv(v) : nullptr;
  return conv ? conv->compute(kernels::Epilogue<T>(map)) : Tensor();
}
template Tensor conv_with_epilogue(const Variable&, const kernels::ChannelMap<float>&);
template Tensor conv_with_epilogue(const Variable&, const kernels::ChannelMap<double>&);

}  // namespace vg::detail
