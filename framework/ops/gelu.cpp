// GELU: x Phi(x), with Phi from the normal distribution or approximated by tanh. The exact form has its own kernels,
// because its arithmetic takes as long as a pass over memory.
#include <numbers>
#include <type_traits>
#include <utility>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/fast_math.hpp"
#include "voxgrad/framework/kernels/pointwise/pointwise.hpp"
#include "voxgrad/framework/ops/detail/channel_totals.hpp"
#include "voxgrad/framework/ops/detail/lazy.hpp"
#include "voxgrad/framework/ops/detail/map.hpp"
#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/framework/ops/reduce.hpp"

namespace vg {

namespace {

constexpr double gelu_c = 0.79788456080286535588;  // sqrt(2 / pi)
constexpr double gelu_k = 0.044715;

Variable gelu_tanh(const Variable& x) {
  const auto f = [](auto v) {
    using T = decltype(v);
    return T(0.5) * v * (1 + detail::fast_tanh(T(gelu_c) * (v + T(gelu_k) * v * v * v)));
  };
  const auto slope = [](auto g, auto v) {
    using T = decltype(v);
    const T t = detail::fast_tanh(T(gelu_c) * (v + T(gelu_k) * v * v * v));
    return g * (T(0.5) * (1 + t) + T(0.5) * v * (1 - t * t) * T(gelu_c) * (1 + T(3 * gelu_k) * v * v));
  };
  return record(
      "gelu", detail::map("gelu", x.value(), f), {x},
      [x, slope](const VjpContext& p) -> Grads {
        if (!recording()) return {Variable(detail::map2("gelu", p.grad.value(), x.value(), slope))};
        const Variable t = tanh(mul(add(x, mul(pow(x, 3.0), gelu_k)), gelu_c));
        const Variable inner = mul(add(mul(square(x), 3 * gelu_k), 1.0), gelu_c);
        return {mul(mul(p.grad, 0.5), add(add(t, 1.0), mul(mul(x, inner), add(neg(square(t)), 1.0))))};
      },
      SaveOutput::no);
}

template <class F>
Tensor by_kernel(const Tensor& x, F f) {
  return detail::filled("gelu", x.shape(), x.dtype(), [&]<class T>(T* to) {
    const T* from = x.data<T>();
    parallel_ranges(x.numel(), detail::grain,
                    [&](std::int64_t begin, std::int64_t end) { f(begin, end - begin, from + begin, to + begin); });
  });
}

Tensor gelu_erf_grad(const Tensor& x, const Tensor& g) {
  return by_kernel(x, [&](std::int64_t at, std::int64_t n, auto* from, auto* to) {
    using T = std::remove_pointer_t<decltype(to)>;
    kernels::gelu_grad<T>(n, from, g.data<T>() + at, to);
  });
}

// The same and, if x includes a bias, its sum per channel, computed while a block is in a cache.
Grads gelu_erf_grads(const Tensor& x, const Tensor& g, const Shape& bias) {
  const OpGuard scope("gelu");
  Tensor dx(x.shape(), x.dtype());
  const Tensor totals = dispatch_float("gelu", x.dtype(), [&](auto type) {
    using T = decltype(type);
    const T *from = x.data<T>(), *grad = g.data<T>();
    T* const to = dx.data<T>();
    return detail::channel_totals<T>(x, bias, [&](std::int64_t at, std::int64_t rows, double* sum) {
      kernels::gelu_grad<T>(rows * bias.numel(), from + at, grad + at, to + at);
      kernels::channel_sums<T>(rows, bias.numel(), to + at, sum);
    });
  });
  return {Variable(dx), Variable(totals)};
}

// The gradient written in ops, so that it can be differentiated again.
Variable composed_gelu_erf_grad(const Variable& x, const Variable& grad) {
  constexpr double density = std::numbers::inv_sqrtpi / std::numbers::sqrt2;  // of the normal distribution, at 0
  const Variable phi = mul(add(erf(mul(x, std::numbers::sqrt2 / 2)), 1.0), 0.5);
  return mul(grad, add(phi, mul(mul(x, exp(mul(square(x), -0.5))), density)));
}

Variable gelu_erf(Variable x) {
  const auto sum = detail::absorbed(x, fusion::Op::gelu);  // before x is materialized
  Tensor y = by_kernel(x.value(), [](std::int64_t, std::int64_t n, auto* from, auto* to) {
    using T = std::remove_pointer_t<decltype(to)>;
    kernels::gelu<T>(n, from, to);
  });
  if (sum)
    return record(
        "bias_gelu", std::move(y), sum->map.inputs(),
        [x, shape = sum->map.conv_bias.shape()](const VjpContext& p) -> Grads {
          if (!recording()) return gelu_erf_grads(x.value(), p.grad.value(), shape);
          const Variable dx = composed_gelu_erf_grad(x, p.grad);
          return {dx, p.needs(1) ? sum_to(dx, shape) : Variable()};
        },
        SaveOutput::no);
  return record(
      "gelu", std::move(y), {x},
      [x](const VjpContext& p) -> Grads {
        if (!recording()) return {Variable(gelu_erf_grad(x.value(), p.grad.value()))};
        return {composed_gelu_erf_grad(x, p.grad)};
      },
      SaveOutput::no);
}

}  // namespace

Variable gelu(Variable x, bool approximate) { return approximate ? gelu_tanh(x) : gelu_erf(std::move(x)); }

}  // namespace vg
