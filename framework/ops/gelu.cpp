// GELU: x Phi(x), Phi by the normal distribution or by tanh. The exact one has kernels of its own: it is as much work
// as a pass over memory.
#include <numbers>
#include <type_traits>

#include "framework/error.hpp"
#include "framework/kernels/fast_math.hpp"
#include "framework/kernels/pointwise.hpp"
#include "framework/ops/detail/map.hpp"
#include "framework/ops/elementwise.hpp"

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
      [x, slope](const Pull& p) -> Grads {
        if (!recording()) return {Variable(detail::map2("gelu", p.grad.value(), x.value(), slope))};
        const Variable t = tanh(mul(add(x, mul(pow(x, 3.0), gelu_k)), gelu_c));
        const Variable inner = mul(add(mul(square(x), 3 * gelu_k), 1.0), gelu_c);
        return {mul(mul(p.grad, 0.5), add(add(t, 1.0), mul(mul(x, inner), add(neg(square(t)), 1.0))))};
      },
      Output::dropped);
}

template <class F>
Tensor by_kernel(const Tensor& x, F f) {
  Tensor y(x.shape(), x.dtype());
  dispatch_float("gelu", x.dtype(), [&](auto type) {
    using T = decltype(type);
    const T* from = x.data<T>();
    T* const to = y.data<T>();
    parallel_ranges(x.numel(), detail::grain,
                    [&](std::int64_t begin, std::int64_t end) { f(begin, end - begin, from + begin, to + begin); });
  });
  return y;
}

Tensor gelu_erf_grad(const Tensor& x, const Tensor& g) {
  return by_kernel(x, [&](std::int64_t at, std::int64_t n, auto* from, auto* to) {
    using T = std::remove_pointer_t<decltype(to)>;
    kernels::gelu_grad<T>(n, from, g.data<T>() + at, to);
  });
}

Variable gelu_erf(const Variable& x) {
  Tensor y = by_kernel(x.value(), [](std::int64_t, std::int64_t n, auto* from, auto* to) {
    using T = std::remove_pointer_t<decltype(to)>;
    kernels::gelu<T>(n, from, to);
  });
  constexpr double density = std::numbers::inv_sqrtpi / std::numbers::sqrt2;  // of the normal distribution, at 0
  return record(
      "gelu", std::move(y), {x},
      [x](const Pull& p) -> Grads {
        if (!recording()) return {Variable(gelu_erf_grad(x.value(), p.grad.value()))};
        const Variable phi = mul(add(erf(mul(x, std::numbers::sqrt2 / 2)), 1.0), 0.5);
        return {mul(p.grad, add(phi, mul(mul(x, exp(mul(square(x), -0.5))), density)))};
      },
      Output::dropped);
}

}  // namespace

Variable gelu(const Variable& x, bool approximate) { return approximate ? gelu_tanh(x) : gelu_erf(x); }

}  // namespace vg
