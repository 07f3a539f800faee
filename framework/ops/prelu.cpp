// PReLU, ELU and Softplus with torch's arguments.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/fast_math.hpp"
#include "voxgrad/framework/ops/detail/map.hpp"
#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/framework/ops/reduce.hpp"
#include "voxgrad/framework/ops/shape_ops.hpp"

namespace vg {

namespace {

// y = f(v, g, slope of its channel), for slopes of one or c entries along the last axis.
template <class F>
Tensor by_channel(const Tensor& v, const Tensor& g, const Tensor& slope, F f) {
  return dispatch_float("prelu", v.dtype(), [&](auto type) {
    using T = decltype(type);
    Tensor y(v.shape(), v.dtype());
    if (v.numel() == 0) return y;
    const T* a = slope.data<T>();
    if (slope.numel() == 1) {
      const T all = *a;
      detail::map2_loop(v.data<T>(), g.data<T>(), y.data<T>(), v.numel(), [all, f](T x, T d) { return f(x, d, all); });
      return y;
    }
    const std::int64_t c = slope.numel(), rows = v.numel() / c;
    const auto run = [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = begin; r < end; ++r) {
        const T* __restrict from = v.data<T>() + r * c, * __restrict grad = g.data<T>() + r * c;
        T* __restrict to = y.data<T>() + r * c;
        for (std::int64_t i = 0; i < c; ++i) to[i] = f(from[i], grad[i], a[i]);
      }
    };
    parallel_ranges(rows, std::max<std::int64_t>(1, detail::grain / c), run);
    return y;
  });
}

// Factors that depend on the sign of x are constants in the gradient's own gradient.
Grads prelu_grads(const VjpContext& p, const Variable& x, const Variable& slope) {
  Variable dx, da;
  const Variable zero(Tensor::scalar(0, x.dtype()));
  if (!recording()) {
    if (p.needs(0))
      dx = by_channel(x.value(), p.grad.value(), slope.value(),
                      [](auto v, auto g, auto a) { return v > 0 ? g : a * g; });
    if (p.needs(1))
      da = sum_to(detail::map2("prelu", x.value(), p.grad.value(),
                               [](auto v, auto g) { return v > 0 ? decltype(v)(0) : g * v; }),
                  slope.shape());
    return {dx, da};
  }
  if (p.needs(0)) dx = where(greater(x.detach(), zero), p.grad, p.grad * slope);
  if (p.needs(1)) da = sum_to(p.grad * minimum(x, zero), slope.shape());
  return {dx, da};
}

}  // namespace

Variable prelu(const Variable& x, const Variable& slope) {
  detail::check_float("prelu", x);
  detail::check_same_dtype("prelu", x, slope);
  const bool shared = slope.numel() == 1;
  if (slope.rank() != 1 || (!shared && (x.rank() == 0 || slope.dim(0) != x.dim(-1))))
    throw ValueError(fmt::format("[prelu] slope: got shape {}; must be (1,) or ({},), one per channel of x {}",
                                 slope.shape().str(), x.rank() == 0 ? 1 : x.dim(-1), x.shape().str()));
  if (x.rank() == 0) return reshape(prelu(reshape(x, {1}), slope), {});  // a slope has an axis, so x needs one
  Tensor y = by_channel(x.value(), x.value(), slope.value(), [](auto v, auto, auto a) { return v > 0 ? v : a * v; });
  return record(
      "prelu", std::move(y), {x, slope}, [x, slope](const VjpContext& p) -> Grads { return prelu_grads(p, x, slope); },
      SaveOutput::no);
}

Variable elu(const Variable& x, double alpha) {
  if (!(alpha >= 0)) throw ValueError(fmt::format("[elu] alpha: got {}; must be at least 0", alpha));
  Tensor y = detail::map("elu", x.value(),
                         [alpha](auto v) { return v > 0 ? v : static_cast<decltype(v)>(alpha) * std::expm1(v); });
  // Below 0 the slope is alpha e^x = y + alpha, so the output suffices. It has the sign of the input.
  return record("elu", std::move(y), {x}, [alpha](const VjpContext& p) -> Grads {
    if (!recording())
      return {Variable(detail::map2("elu", p.grad.value(), p.output.value(), [alpha](auto g, auto v) {
        return v > 0 ? g : g * (v + static_cast<decltype(v)>(alpha));
      }))};
    const Variable positive = greater(p.output.detach(), Variable(Tensor::scalar(0, p.grad.dtype())));
    return {where(positive, p.grad, p.grad * (p.output + alpha))};
  });
}

Variable softplus(const Variable& x, double beta, double threshold) {
  if (!(beta > 0)) throw ValueError(fmt::format("[softplus] beta: got {}; must be positive", beta));
  Tensor y = detail::map("softplus", x.value(), [beta, threshold](auto v) {
    using T = decltype(v);
    const T u = static_cast<T>(beta) * v;
    const T soft = ((u > 0 ? u : T(0)) + std::log1p(detail::fast_exp(-std::abs(u)))) / static_cast<T>(beta);
    return u > static_cast<T>(threshold) ? v : soft;
  });
  return record(
      "softplus", std::move(y), {x},
      [x, beta, threshold](const VjpContext& p) -> Grads {
        if (!recording())
          return {Variable(detail::map2("softplus", p.grad.value(), x.value(), [beta, threshold](auto g, auto v) {
            using T = decltype(v);
            const T u = static_cast<T>(beta) * v;
            return u > static_cast<T>(threshold) ? g : g * detail::logistic(u);
          }))};
        const Variable u = x * beta;
        const Variable linear = greater(u.detach(), Variable(Tensor::scalar(threshold, x.dtype())));
        return {where(linear, p.grad, p.grad * sigmoid(u))};
      },
      SaveOutput::no);
}

}  // namespace vg
