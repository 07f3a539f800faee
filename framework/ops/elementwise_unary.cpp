// Elementwise ops of one operand. A vjp that can be computed from the output saves no input. If a derivative needs more
// than one op, the usual case (the gradient is not recorded) runs one fused loop.
#include <numbers>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/fast_math.hpp"
#include "voxgrad/framework/ops/detail/lazy.hpp"
#include "voxgrad/framework/ops/detail/map.hpp"
#include "voxgrad/framework/ops/elementwise.hpp"

namespace vg {

namespace {

using detail::fast_exp;
using detail::fast_tanh;
using detail::logistic;
using detail::map;

// The gradient f(g, v) = g * slope(v) of a function with a piecewise constant slope. It is one loop, or, if the
// gradient is recorded, a product with the slopes as constants.
template <class F>
Variable piecewise(const Variable& grad, const Variable& v, F f) {
  if (!recording()) return Variable(detail::map2("piecewise", grad.value(), v.value(), f));
  return mul(grad, Variable(map("piecewise", v.value(), [=](auto x) { return f(decltype(x)(1), x); })));
}

// The gradient f(g, v) of a smooth function: one loop, or ops if the gradient is recorded.
template <class F, class Ops>
Variable fused(const Variable& grad, const Variable& v, F f, Ops ops) {
  if (recording()) return ops(grad, v);
  return Variable(detail::map2("fused", grad.value(), v.value(), f));
}

}  // namespace

Variable neg(const Variable& x) {
  Tensor y = detail::map_any(x.value(), [](auto v) {
    if constexpr (std::is_integral_v<decltype(v)>)
      return static_cast<decltype(v)>(0u - static_cast<std::uint32_t>(v));
    else
      return -v;
  });
  return record(
      "neg", std::move(y), {x}, [](const VjpContext& p) -> Grads { return {neg(p.grad)}; }, SaveOutput::no);
}

namespace {
constexpr auto sign_of = [](auto v) {
  using T = decltype(v);
  return v > T(0) ? T(1) : v < T(0) ? T(-1) : v == T(0) ? T(0) : v;  // NaN stays NaN
};
}  // namespace

Variable abs(const Variable& x) {
  Tensor y = detail::map_any(x.value(), [](auto v) {
    if constexpr (std::is_integral_v<decltype(v)>)
      return v < 0 ? static_cast<decltype(v)>(0u - static_cast<std::uint32_t>(v)) : v;
    else
      return std::abs(v);
  });
  return record(
      "abs", std::move(y), {x},
      [x = x.detach()](const VjpContext& p) -> Grads {
        return {piecewise(p.grad, x, [](auto g, auto v) { return g * sign_of(v); })};
      },
      SaveOutput::no);
}

Variable sign(const Variable& x) {
  return record(
      "sign", detail::map_any(x.value(), sign_of), {x}, [](const VjpContext&) -> Grads { return {Variable()}; },
      SaveOutput::no);
}

Variable square(const Variable& x) {
  Tensor y = detail::map_any(x.value(), [](auto v) {
    if constexpr (std::is_integral_v<decltype(v)>)
      return static_cast<decltype(v)>(static_cast<std::uint32_t>(v) * static_cast<std::uint32_t>(v));
    else
      return v * v;
  });
  return record(
      "square", std::move(y), {x},
      [x](const VjpContext& p) -> Grads {
        return {fused(
            p.grad, x, [](auto g, auto v) { return 2 * (g * v); },
            [](const Variable& g, const Variable& v) { return mul(mul(g, v), 2.0); })};
      },
      SaveOutput::no);
}

Variable sqrt(const Variable& x) {
  return record("sqrt", map("sqrt", x.value(), [](auto v) { return std::sqrt(v); }), {x},
                [](const VjpContext& p) -> Grads { return {div(p.grad, mul(p.output, 2.0))}; });
}

Variable rsqrt(const Variable& x) {
  return record("rsqrt", map("rsqrt", x.value(), [](auto v) { return 1 / std::sqrt(v); }), {x},
                [](const VjpContext& p) -> Grads { return {mul(mul(p.grad, mul(square(p.output), p.output)), -0.5)}; });
}

Variable exp(const Variable& x) {
  return record("exp", map("exp", x.value(), [](auto v) { return fast_exp(v); }), {x},
                [](const VjpContext& p) -> Grads { return {mul(p.grad, p.output)}; });
}

Variable expm1(const Variable& x) {
  return record("expm1", map("expm1", x.value(), [](auto v) { return std::expm1(v); }), {x},
                [](const VjpContext& p) -> Grads { return {mul(p.grad, add(p.output, 1.0))}; });
}

Variable log(const Variable& x) {
  return record(
      "log", map("log", x.value(), [](auto v) { return std::log(v); }), {x},
      [x](const VjpContext& p) -> Grads { return {div(p.grad, x)}; }, SaveOutput::no);
}

Variable log1p(const Variable& x) {
  return record(
      "log1p", map("log1p", x.value(), [](auto v) { return std::log1p(v); }), {x},
      [x](const VjpContext& p) -> Grads { return {div(p.grad, add(x, 1.0))}; }, SaveOutput::no);
}

Variable sin(const Variable& x) {
  return record(
      "sin", map("sin", x.value(), [](auto v) { return std::sin(v); }), {x},
      [x](const VjpContext& p) -> Grads { return {mul(p.grad, cos(x))}; }, SaveOutput::no);
}

Variable cos(const Variable& x) {
  return record(
      "cos", map("cos", x.value(), [](auto v) { return std::cos(v); }), {x},
      [x](const VjpContext& p) -> Grads { return {neg(mul(p.grad, sin(x)))}; }, SaveOutput::no);
}

Variable tanh(const Variable& x) {
  return record("tanh", map("tanh", x.value(), [](auto v) { return fast_tanh(v); }), {x},
                [](const VjpContext& p) -> Grads {
                  return {fused(
                      p.grad, p.output, [](auto g, auto y) { return g * (1 - y * y); },
                      [](const Variable& g, const Variable& y) { return mul(g, add(neg(square(y)), 1.0)); })};
                });
}

Variable erf(const Variable& x) {
  return record(
      "erf", map("erf", x.value(), [](auto v) { return std::erf(v); }), {x},
      [x](const VjpContext& p) -> Grads {
        return {mul(mul(p.grad, exp(neg(square(x)))), 2 * std::numbers::inv_sqrtpi)};
      },
      SaveOutput::no);
}

Variable sigmoid(const Variable& x) {
  return record("sigmoid", map("sigmoid", x.value(), [](auto v) { return logistic(v); }), {x},
                [](const VjpContext& p) -> Grads {
                  return {fused(
                      p.grad, p.output, [](auto g, auto y) { return g * (y * (1 - y)); },
                      [](const Variable& g, const Variable& y) { return mul(g, sub(y, square(y))); })};
                });
}

Variable softplus(const Variable& x) {
  const auto f = [](auto v) { return (v > 0 ? v : decltype(v)(0)) + std::log1p(fast_exp(-std::abs(v))); };
  return record(
      "softplus", map("softplus", x.value(), f), {x},
      [x](const VjpContext& p) -> Grads {
        return {fused(
            p.grad, x, [](auto g, auto v) { return g * logistic(v); },
            [](const Variable& g, const Variable& v) { return mul(g, sigmoid(v)); })};
      },
      SaveOutput::no);
}

Variable relu(Variable x) {
  if (Variable y = detail::fused_activation(x, {kernels::Activation::Kind::relu}); y.defined()) return y;
  // NaN stays NaN, so that divergence of a network is visible.
  return record(
      "relu", map("relu", x.value(), [](auto v) { return v < 0 ? decltype(v)(0) : v; }), {x},
      [](const VjpContext& p) -> Grads {
        return {piecewise(p.grad, p.output.detach(), [](auto g, auto y) { return y > 0 ? g : decltype(g)(0); })};
      });
}

Variable leaky_relu(Variable x, double negative_slope) {
  if (negative_slope >= 0)  // the vjp reads the sign from the result
    if (Variable y = detail::fused_activation(x, {kernels::Activation::Kind::leaky_relu, negative_slope}); y.defined())
      return y;
  const auto f = [negative_slope](auto v) { return v > 0 ? v : v * static_cast<decltype(v)>(negative_slope); };
  return record(
      "leaky_relu", map("leaky_relu", x.value(), f), {x},
      [x = x.detach(), negative_slope](const VjpContext& p) -> Grads {
        return {piecewise(p.grad, x, [negative_slope](auto g, auto v) {
          return v > 0 ? g : g * static_cast<decltype(g)>(negative_slope);
        })};
      },
      SaveOutput::no);
}

Variable clip(const Variable& x, double low, double high) {
  if (!(low <= high)) throw ValueError(fmt::format("[clip] low, high: got {} and {}; must be low <= high", low, high));
  const auto f = [low, high](auto v) {
    using T = decltype(v);
    return v < static_cast<T>(low) ? static_cast<T>(low) : v > static_cast<T>(high) ? static_cast<T>(high) : v;
  };
  return record(
      "clip", map("clip", x.value(), f), {x},
      [x = x.detach(), low, high](const VjpContext& p) -> Grads {
        return {piecewise(p.grad, x, [low, high](auto g, auto v) {
          using T = decltype(v);
          return v >= static_cast<T>(low) && v <= static_cast<T>(high) ? g : T(0);
        })};
      },
      SaveOutput::no);
}

Variable silu(const Variable& x) {
  return record(
      "silu", map("silu", x.value(), [](auto v) { return v * logistic(v); }), {x},
      [x](const VjpContext& p) -> Grads {
        const auto slope = [](auto g, auto v) {
          const auto s = logistic(v);
          return g * (s * (1 + v * (1 - s)));
        };
        return {fused(p.grad, x, slope, [](const Variable& g, const Variable& v) {
          const Variable s = sigmoid(v);
          return mul(g, mul(s, add(mul(v, add(neg(s), 1.0)), 1.0)));
        })};
      },
      SaveOutput::no);
}

}  // namespace vg
