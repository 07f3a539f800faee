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

Shape w_shape(const Conv3dProblem& p) {
  return {p.kernel_size[0], p.kernel_size[1], p.kernel_size[2], p.in_channels / p.groups, p.out_channels};
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

}  // namespace

Shape conv_shape(const Conv3dProblem& p) {
  return {p.batch, p.out_size[0], p.out_size[1], p.out_size[2], p.out_channels};
}

// All passes have the same (output, tap, input) triples. Padding counts; zeros inserted by lhs_dilation do not.
void count_conv_multiply_adds(const Conv3dProblem& p) {
  if (conv_shape(p).numel() == 0) return;  // without outputs the extents are unbounded, and n could overflow
  std::int64_t n = p.batch * p.out_channels * (p.in_channels / p.groups);
  for (int i = 0; i < 3; ++i) n = n * p.out_size[i] * p.kernel_size[i] / p.lhs_dilation[i];
  count_multiply_adds(n);
}

std::vector<Variable> conv_parts(const Variable& x, const Convolution& c) {
  const auto joined = c.bf16 ? nullptr : absorbed(x, fusion::Op::conv3d);
  const bool taken = joined && takes(joined->parts, c, Pass::forward) && takes(joined->parts, c, Pass::grad_input) &&
                     takes(joined->parts, c, Pass::grad_weight);
  return taken ? joined->parts : std::vector<Variable>{x};
}

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

std::vector<Tensor> conv_grad_input_value(const Variable& grad, const Variable& w, const Convolution& c,
                                          const std::vector<Shape>& parts) {
  const OpGuard scope("conv3d_grad_input");
  std::vector<Tensor> dx;
  for (const Shape& shape : parts) dx.emplace_back(shape, grad.dtype());
  count_conv_multiply_adds(c.p);
  dispatch_float("conv3d_grad_input", grad.dtype(), [&](auto type) {
    using T = decltype(type);
    const T *const dy = grad.value().data<T>(), *const weights = w.value().data<T>();
    if constexpr (std::is_same_v<T, float>)
      if (c.bf16) return kernels::conv3d_grad_input_bf16(c.p, dy, weights, dx[0].data<T>());
    kernels::conv3d_grad_input_concat(c.p, dy, weights, view_of<T>(dx, [](Tensor& part) { return part.data<T>(); }));
  });
  return dx;
}

Tensor conv_grad_weight_value(const std::vector<Variable>& parts, const Variable& grad, const Convolution& c) {
  const OpGuard scope("conv3d_grad_weight");
  Tensor dw(w_shape(c.p), grad.dtype());
  count_conv_multiply_adds(c.p);
  dispatch_float("conv3d_grad_weight", grad.dtype(), [&](auto type) {
    using T = decltype(type);
    const auto x = values_of<T>(parts);
    const T* const dy = grad.value().data<T>();
    if constexpr (std::is_same_v<T, float>)
      if (c.bf16) return kernels::conv3d_grad_weight_bf16(c.p, x.data[0], dy, dw.data<T>());
    kernels::conv3d_grad_weight_concat<T>(c.p, x, dy, dw.data<T>());
  });
  return dw;
}

}  // namespace vg::detail
