#include "voxgrad/framework/ops/bias.hpp"

#include <fmt/format.h>

#include <utility>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/base/threads.hpp"
#include "voxgrad/framework/kernels/common/cache.hpp"
#include "voxgrad/framework/kernels/pointwise/pointwise.hpp"
#include "voxgrad/framework/ops/detail/channel_totals.hpp"
#include "voxgrad/framework/ops/detail/lazy.hpp"
#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/framework/ops/reduce.hpp"

namespace vg {

namespace {

using std::int64_t;

Variable bias_grad(const Variable& g, const Shape& bias) {
  if (recording()) return sum_to(g, bias);
  return Variable(dispatch_float("bias_add", g.dtype(), [&](auto type) {
    using T = decltype(type);
    const T* const gs = g.value().data<T>();
    return detail::channel_totals<T>(g.value(), bias, [&](int64_t at, int64_t rows, double* sum) {
      kernels::channel_sums(rows, bias.numel(), gs + at, sum);
    });
  }));
}

// g times the activation's slope at the result y, and its sum per channel, in one pass.
struct ActivationGrads {
  Tensor x, bias;
};
ActivationGrads activation_grads(const kernels::Activation& activation, const Tensor& y, const Tensor& g,
                                 const Shape& bias) {
  Tensor x(y.shape(), y.dtype());
  const Tensor of_bias = dispatch_float("bias_add", y.dtype(), [&](auto type) {
    using T = decltype(type);
    const T *ys = y.data<T>(), *gs = g.data<T>();
    T* const dx = x.data<T>();
    const bool non_temporal = y.numel() * int64_t{sizeof(T)} > kernels::cache::non_temporal_threshold;
    return detail::channel_totals<T>(y, bias, [&](int64_t at, int64_t rows, double* sum) {
      const kernels::ChannelMap<T> map{rows, bias.numel(), nullptr, nullptr, nullptr, activation, non_temporal};
      kernels::activation_grad_dots<T>(map, nullptr, gs + at, ys + at, dx + at, sum, nullptr);
    });
  });
  return {x, of_bias};
}

Vjp bias_activation_vjp(const detail::Lazy& sum, const kernels::Activation& activation) {
  return [activation, shape = sum.map.conv_bias.shape()](const VjpContext& pull) -> Grads {
    ActivationGrads grads = activation_grads(activation, pull.output.value(), pull.grad.value(), shape);
    return {Variable(grads.x), Variable(grads.bias)};
  };
}

}  // namespace

Variable bias_add(const Variable& x, const Variable& bias) {
  if (!is_float(x.dtype())) throw_not_float("bias_add", x.dtype());
  if (bias.dtype() != x.dtype())
    throw TypeError(fmt::format("[bias_add] bias: got {}; must be {} as x", name_of(bias.dtype()), name_of(x.dtype())));
  if (x.rank() < 1 || bias.rank() < 1 || bias.rank() > x.rank() || bias.dim(-1) != x.dim(-1) ||
      bias.numel() != x.dim(-1))
    throw ValueError(fmt::format("[bias_add] bias: got shape {}; must have one entry for each channel of x, {}",
                                 bias.shape().str(), x.shape().str()));
  const int64_t channels = bias.numel(), rows = channels == 0 ? 0 : x.numel() / channels;
  detail::ChannelOp sum{fusion::Op::bias_add, {1, rows, channels, 1}, x, bias};
  return record_lazy("bias_add", std::make_shared<detail::Lazy>(std::move(sum), bias_activation_vjp), {x, bias},
                     [shape = bias.shape()](const VjpContext& pull) -> Grads {
                       return {pull.grad, pull.needs(1) ? bias_grad(pull.grad, shape) : Variable()};
                     });
}

}  // namespace vg
