// Elementwise ops of two or three operands, or of a Variable and a number.
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/ops/detail/binary.hpp"
#include "voxgrad/framework/ops/detail/lazy.hpp"
#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/framework/ops/reduce.hpp"

namespace vg {

namespace {

using detail::binary_broadcast;
using detail::check_float;
using detail::check_same_dtype;

// i32 arithmetic wraps, as in numpy. With signed C++ integers, overflow would be undefined.
template <class T, class F>
T wrapped(T a, T b, F f) {
  if constexpr (std::is_same_v<T, std::int32_t>)
    return static_cast<T>(f(static_cast<std::uint32_t>(a), static_cast<std::uint32_t>(b)));
  else
    return f(a, b);
}
constexpr auto plus = [](auto a, auto b) { return wrapped(a, b, [](auto x, auto y) { return x + y; }); };
constexpr auto minus = [](auto a, auto b) { return wrapped(a, b, [](auto x, auto y) { return x - y; }); };
constexpr auto times = [](auto a, auto b) { return wrapped(a, b, [](auto x, auto y) { return x * y; }); };
template <class F>
Tensor broadcast_any(std::string_view op, const Variable& a, const Variable& b, F f) {
  check_same_dtype(op, a, b);
  return dispatch(a.dtype(), [&](auto tag) {
    using T = decltype(tag);
    return binary_broadcast<T, T>(op, a.value(), b.value(), f);
  });
}

template <class F>
Tensor broadcast_float(std::string_view op, const Variable& a, const Variable& b, F f) {
  check_same_dtype(op, a, b);
  return dispatch_float(op, a.dtype(), [&](auto tag) {
    using T = decltype(tag);
    return binary_broadcast<T, T>(op, a.value(), b.value(), f);
  });
}

// The results of a comparison; `unordered` is that of a NaN.
struct Comparison {
  std::int32_t less, greater, equal, unordered;
};

// One loop for all comparisons, because each loop is compiled for every dtype and every kind of broadcasting.
Variable compare(std::string_view op, const Variable& a, const Variable& b, Comparison is) {
  check_same_dtype(op, a, b);
  return dispatch(a.dtype(), [&](auto tag) {
    using T = decltype(tag);
    return Variable(binary_broadcast<std::int32_t, T>(op, a.value(), b.value(), [=](T x, T y) {
      return x < y ? is.less : x > y ? is.greater : x == y ? is.equal : is.unordered;
    }));
  });
}

// A number beside an i32 Variable must be a valid i32: x * 0.5 would silently become x * 0.
template <class T>
T number_as(std::string_view op, double b) {
  if constexpr (std::is_same_v<T, std::int32_t>)
    if (!(b >= -2147483648.0 && b <= 2147483647.0) || b != std::trunc(b))
      throw ValueError(
          fmt::format("[{}] number: got {} beside an i32 Variable; must be a whole number within i32", op, b));
  return static_cast<T>(b);
}

template <class F>
Tensor with_number(std::string_view op, const Variable& a, double b, F f) {
  return dispatch(a.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const T v = number_as<T>(op, b);
    Tensor y(a.shape(), a.dtype());
    detail::map_loop(a.value().data<T>(), y.data<T>(), y.numel(), [=](T x) { return f(x, v); });
    return y;
  });
}

}  // namespace

Variable add(const Variable& a, const Variable& b) {
  if (Variable y = detail::fused_sum(a, b); y.defined()) return y;
  return record(
      "add", broadcast_any("add", a, b, plus), {a, b},
      [sa = a.shape(), sb = b.shape()](const VjpContext& p) -> Grads {
        return {p.needs(0) ? sum_to(p.grad, sa) : Variable(), p.needs(1) ? sum_to(p.grad, sb) : Variable()};
      },
      SaveOutput::no);
}

Variable sub(const Variable& a, const Variable& b) {
  return record(
      "sub", broadcast_any("sub", a, b, minus), {a, b},
      [sa = a.shape(), sb = b.shape()](const VjpContext& p) -> Grads {
        return {p.needs(0) ? sum_to(p.grad, sa) : Variable(), p.needs(1) ? neg(sum_to(p.grad, sb)) : Variable()};
      },
      SaveOutput::no);
}

Variable mul(const Variable& a, const Variable& b) {
  return record(
      "mul", broadcast_any("mul", a, b, times), {a, b},
      [a, b](const VjpContext& p) -> Grads {
        return {p.needs(0) ? sum_to(mul(p.grad, b), a.shape()) : Variable(),
                p.needs(1) ? sum_to(mul(p.grad, a), b.shape()) : Variable()};
      },
      SaveOutput::no);
}

Variable div(const Variable& a, const Variable& b) {
  return record(
      "div", broadcast_float("div", a, b, [](auto x, auto y) { return x / y; }), {a, b},
      [a, b](const VjpContext& p) -> Grads {
        const Variable ga = div(p.grad, b);
        return {p.needs(0) ? sum_to(ga, a.shape()) : Variable(),
                p.needs(1) ? sum_to(neg(mul(ga, div(a, b))), b.shape()) : Variable()};
      },
      SaveOutput::no);
}

Variable pow(const Variable& a, const Variable& b) {
  Tensor y = broadcast_float("pow", a, b, [](auto x, auto e) { return std::pow(x, e); });
  return record("pow", std::move(y), {a, b}, [a, b](const VjpContext& p) -> Grads {
    Variable ga, gb;
    const Variable zero = Tensor::zeros({}, a.dtype()), one = Tensor::ones({}, a.dtype());
    if (p.needs(0)) {  // for b = 0 the slope is 0, also at a = 0, where a^-1 is infinite
      const Variable e = where(equal(b, zero), one, add(b, -1.0));
      ga = sum_to(mul(p.grad, mul(b, pow(a, e))), a.shape());
    }
    if (p.needs(1)) {  // 0^b is constant in b > 0, but log(0) * 0 would be NaN
      const Variable base = where(equal(a, zero), one, a);
      gb = sum_to(mul(p.grad, mul(p.output, log(base))), b.shape());
    }
    return {ga, gb};
  });
}

Variable pow(const Variable& a, double b) {
  check_float("pow", a);
  Tensor y = b == 1   ? detail::map("pow", a.value(), [](auto x) { return x; })
             : b == 2 ? detail::map("pow", a.value(), [](auto x) { return x * x; })
             : b == 3 ? detail::map("pow", a.value(), [](auto x) { return x * x * x; })
                      : detail::map("pow", a.value(), [b](auto x) { return std::pow(x, static_cast<decltype(x)>(b)); });
  return record(
      "pow", std::move(y), {a},
      [a, b](const VjpContext& p) -> Grads {
        if (b == 0) return {Variable()};
        return {mul(mul(p.grad, pow(a, b - 1)), b)};
      },
      SaveOutput::no);
}

namespace {

// If either side is NaN, the result is NaN, as in numpy. The larger (or smaller) side gets the gradient; equal sides
// get half each. The shares are constants of the graph.
Variable extremum(std::string_view op, const Variable& a, const Variable& b, bool larger_wins) {
  const auto wins = [larger_wins](auto x, auto y) { return (larger_wins ? x > y : x < y) || x != x ? x : y; };
  return record(
      op, broadcast_any(op, a, b, wins), {a, b},
      [a = a.detach(), b = b.detach(), op, larger_wins](const VjpContext& p) -> Grads {
        const auto share = [larger_wins](auto x, auto y) {
          using T = decltype(x);
          return x == y ? T(0.5) : (x > y) == larger_wins ? T(1) : T(0);
        };
        Grads grads(2);
        if (p.needs(0)) grads[0] = sum_to(mul(p.grad, Variable(broadcast_float(op, a, b, share))), a.shape());
        if (p.needs(1)) grads[1] = sum_to(mul(p.grad, Variable(broadcast_float(op, b, a, share))), b.shape());
        return grads;
      },
      SaveOutput::no);
}

}  // namespace

Variable maximum(const Variable& a, const Variable& b) { return extremum("maximum", a, b, true); }
Variable minimum(const Variable& a, const Variable& b) { return extremum("minimum", a, b, false); }

Variable add(const Variable& a, double b) {
  return record(
      "add", with_number("add", a, b, plus), {a}, [](const VjpContext& p) -> Grads { return {p.grad}; },
      SaveOutput::no);
}

Variable mul(const Variable& a, double b) {
  return record(
      "mul", with_number("mul", a, b, times), {a}, [b](const VjpContext& p) -> Grads { return {mul(p.grad, b)}; },
      SaveOutput::no);
}

Variable operator/(const Variable& a, double b) {
  check_float("div", a);
  return record(
      "div", with_number("div", a, b, [](auto x, auto v) { return static_cast<decltype(x)>(x / v); }), {a},
      [b](const VjpContext& p) -> Grads { return {p.grad / b}; }, SaveOutput::no);
}

Variable operator/(double a, const Variable& b) { return div(Tensor::scalar(a, b.dtype()), b); }

Variable equal(const Variable& a, const Variable& b) { return compare("equal", a, b, {0, 0, 1, 0}); }
Variable not_equal(const Variable& a, const Variable& b) { return compare("not_equal", a, b, {1, 1, 0, 1}); }
Variable less(const Variable& a, const Variable& b) { return compare("less", a, b, {1, 0, 0, 0}); }
Variable less_equal(const Variable& a, const Variable& b) { return compare("less_equal", a, b, {1, 0, 1, 0}); }
Variable greater(const Variable& a, const Variable& b) { return compare("greater", a, b, {0, 1, 0, 0}); }
Variable greater_equal(const Variable& a, const Variable& b) { return compare("greater_equal", a, b, {0, 1, 1, 0}); }

namespace {

template <class T>
Tensor select(const Tensor& condition, const Tensor& a, const Tensor& b, const Shape& shape) {
  Tensor y(shape, a.dtype());
  const detail::Walk<3> w(
      shape, {detail::broadcast_strides(condition.shape(), shape), detail::broadcast_strides(a.shape(), shape),
              detail::broadcast_strides(b.shape(), shape)});
  const auto s = w.rank == 0 ? std::array<std::int64_t, 3>{} : w.stride[w.rank - 1];
  const std::int32_t* pc = condition.data<std::int32_t>();
  const T *pa = a.data<T>(), *pb = b.data<T>();
  T* out = y.data<T>();
  detail::for_rows(w, [=](const std::array<std::int64_t, 3>& from, std::int64_t at, std::int64_t n) {
    const std::int32_t* c = pc + from[0];
    const T *x = pa + from[1], *z = pb + from[2];
    if (s[0] == 1 && s[1] == 1 && s[2] == 1)
      for (std::int64_t i = 0; i < n; ++i) out[at + i] = c[i] != 0 ? x[i] : z[i];
    else
      for (std::int64_t i = 0; i < n; ++i) out[at + i] = c[i * s[0]] != 0 ? x[i * s[1]] : z[i * s[2]];
  });
  return y;
}

}  // namespace

Variable where(const Variable& condition, const Variable& a, const Variable& b) {
  if (condition.dtype() != i32)
    throw TypeError(fmt::format("[where] condition: got {}; must be i32", name_of(condition.dtype())));
  check_same_dtype("where", a, b);
  const Shape shape = broadcast_shapes("where", condition.shape(), broadcast_shapes("where", a.shape(), b.shape()));
  const OpGuard scope("where");
  Tensor y = dispatch(a.dtype(),
                      [&](auto tag) { return select<decltype(tag)>(condition.value(), a.value(), b.value(), shape); });
  return record(
      "where", std::move(y), {a, b},
      [condition, sa = a.shape(), sb = b.shape()](const VjpContext& p) -> Grads {
        const Variable zero = Tensor::zeros({}, p.grad.dtype());
        return {p.needs(0) ? sum_to(where(condition, p.grad, zero), sa) : Variable(),
                p.needs(1) ? sum_to(where(condition, zero, p.grad), sb) : Variable()};
      },
      SaveOutput::no);
}

Variable cast(const Variable& x, DType dtype) {
  if (x.dtype() == dtype) return x;
  const OpGuard scope("cast");
  Tensor y = x.value().to(dtype);
  if (!is_float(dtype) || !is_float(x.dtype())) return Variable(y);
  return record(
      "cast", std::move(y), {x}, [from = x.dtype()](const VjpContext& p) -> Grads { return {cast(p.grad, from)}; },
      SaveOutput::no);
}

void add_in_place(Tensor& into, const Tensor& x) {
  if (into.shape() != x.shape())
    throw ValueError(fmt::format("[add_in_place] x: got shape {}; must be {}", x.shape().str(), into.shape().str()));
  if (into.dtype() != x.dtype())
    throw TypeError(fmt::format("[add_in_place] x: got {}; must be {}", name_of(x.dtype()), name_of(into.dtype())));
  dispatch(into.dtype(), [&](auto tag) {
    using T = decltype(tag);
    T* to = into.data<T>();
    const T* from = x.data<T>();
    parallel_ranges(into.numel(), detail::grain, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) to[i] = plus(to[i], from[i]);
    });
  });
}

}  // namespace vg
