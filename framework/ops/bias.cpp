#include "voxgrad/framework/ops/bias.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "voxgrad/framework/autograd/lazy.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/base/threads.hpp"
#include "voxgrad/framework/kernels/common/cache.hpp"
#include "voxgrad/framework/kernels/pointwise/pointwise.hpp"
#include "voxgrad/framework/ops/detail/bias.hpp"
#include "voxgrad/framework/ops/detail/conv.hpp"
#include "voxgrad/framework/ops/detail/map.hpp"
#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/framework/ops/reduce.hpp"

namespace vg {

namespace {

using std::int64_t;

// act(x + bias). If the result is donated and x is a lazy convolution without another handle, x's epilogue computes it.
Tensor biased(const Variable& x, const Variable& bias, const kernels::Activation& activation, Donated donated) {
  return dispatch_float("bias_add", x.dtype(), [&](auto type) {
    using T = decltype(type);
    const int64_t channels = bias.numel(), rows = channels == 0 ? 0 : x.numel() / channels;
    kernels::ChannelMap<T> map{rows, channels, nullptr, nullptr, bias.value().data<T>(), activation};
    if (donated == Donated::yes)
      if (Tensor y = detail::conv_with_epilogue<T>(x, map); y.defined()) return y;
    Tensor y(x.shape(), x.dtype());
    const T* const from = x.value().data<T>();
    T* const to = y.data<T>();
    map.non_temporal = y.numel() * int64_t{sizeof(T)} > kernels::cache::non_temporal_threshold;
    parallel_ranges(rows, detail::voxels_of_task(channels), [&](int64_t begin, int64_t end) {
      kernels::ChannelMap<T> of_task = map;
      of_task.rows = end - begin;
      kernels::map_channels<T>(of_task, from + begin * channels, nullptr, to + begin * channels);
    });
    return y;
  });
}

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

class LazyBias : public LazyOp {
 public:
  LazyBias(Variable x, Variable bias) : LazyOp(x.shape(), x.dtype()), sum_{std::move(x), std::move(bias)} {}
  const detail::LazyBiasTerms& sum() const { return sum_; }
  Tensor compute() const override { return biased(sum_.x, sum_.bias, {}, Donated::yes); }

  Variable with_activation(const Variable& self, const kernels::Activation& activation,
                           Donated donated) const override {
    const auto vjp = [activation, shape = sum_.bias.shape()](const VjpContext& pull) -> Grads {
      ActivationGrads grads = activation_grads(activation, pull.output.value(), pull.grad.value(), shape);
      return {Variable(grads.x), Variable(grads.bias)};
    };
    Tensor value = biased(sum_.x, sum_.bias, activation, donated);  // before record() copies the handle of x
    const Variable y = record("bias_activation", std::move(value), {sum_.x, sum_.bias}, vjp, SaveOutput::yes);
    record_unfused(y, "activation", {self}, [activation](const VjpContext& pull) -> Grads {
      return {detail::through_activation(activation, pull.output.value(), pull.grad)};
    });
    return y;
  }

 private:
  detail::LazyBiasTerms sum_;
};

}  // namespace

namespace detail {

std::optional<LazyBiasTerms> lazy_bias(const Variable& v) { return bias_of(lazy_op_of(v).get()); }

std::optional<LazyBiasTerms> bias_of(const LazyOp* how) {
  const auto* sum = dynamic_cast<const LazyBias*>(how);
  return sum != nullptr ? std::optional(sum->sum()) : std::nullopt;
}

Variable through_activation(const kernels::Activation& activation, const Tensor& y, const Variable& g) {
  const double below = activation.kind == kernels::Activation::Kind::relu ? 0.0 : activation.slope;
  const Tensor slope = map("activation", y, [below](auto v) {
    using T = decltype(v);
    return v > T(0) ? T(1) : static_cast<T>(below);
  });
  return g * Variable(slope);
}

}  // namespace detail

Variable bias_add(const Variable& x, const Variable& bias) {
  if (!is_float(x.dtype())) throw_not_float("bias_add", x.dtype());
  if (bias.dtype() != x.dtype())
    throw TypeError(fmt::format("[bias_add] bias: got {}; must be {} as x", name_of(bias.dtype()), name_of(x.dtype())));
  if (x.rank() < 1 || bias.rank() < 1 || bias.rank() > x.rank() || bias.dim(-1) != x.dim(-1) ||
      bias.numel() != x.dim(-1))
    throw ValueError(fmt::format("[bias_add] bias: got shape {}; must have one entry for each channel of x, {}",
                                 bias.shape().str(), x.shape().str()));
  return record_lazy("bias_add", std::make_shared<LazyBias>(x, bias), {x, bias},
                     [shape = bias.shape()](const VjpContext& pull) -> Grads {
                       return {pull.grad, pull.needs(1) ? bias_grad(pull.grad, shape) : Variable()};
                     });
}

}  // namespace vg
