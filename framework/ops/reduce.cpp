#include "voxgrad/framework/ops/reduce.hpp"

#include <limits>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/ops/detail/fold.hpp"
#include "voxgrad/framework/ops/detail/map.hpp"
#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/framework/ops/shape_ops.hpp"

namespace vg {

namespace {

// Which axes are folded, and the shapes of the result with and without them.
struct Plan {
  std::array<bool, Shape::max_rank> folded{};
  Shape kept;              // with folded axes of extent 1, as for keepdims
  Shape result;            // the result's shape
  std::int64_t count = 1;  // elements folded into one
};

Plan plan_of(std::string_view op, const Shape& shape, const Axes& axes, bool keepdims) {
  Plan plan;
  for (int axis : axes) {
    const auto a = static_cast<std::size_t>(normalize_axis(op, axis, shape.rank()));
    if (plan.folded[a]) throw ValueError(fmt::format("[{}] axes: got axis {} twice; each must come once", op, a));
    plan.folded[a] = true;
  }
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (axes.empty()) plan.folded[i] = true;
    if (plan.folded[i]) plan.count *= shape[i];
    plan.kept.push_back(plan.folded[i] ? 1 : shape[i]);
    if (!plan.folded[i] || keepdims) plan.result.push_back(plan.kept[i]);
  }
  return plan;
}

void check_count(std::string_view op, const Shape& shape, const Plan& plan) {
  if (plan.count == 0)
    throw ValueError(
        fmt::format("[{}] x: got shape {}; must have at least one element along the axes", op, shape.str()));
}

struct Segment {
  std::int64_t extent;
  bool folded;
};

// Merges neighbouring axes that are all folded or all kept.
std::vector<Segment> segments_of(const Shape& shape, const Plan& plan) {
  std::vector<Segment> s;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 1) continue;
    if (!s.empty() && s.back().folded == plan.folded[i])
      s.back().extent *= shape[i];
    else
      s.push_back({shape[i], plan.folded[i]});
  }
  return s;
}

// A sum that does not fit in i32 is an error, not a wrong number.
template <class To, class From>
void narrow(std::string_view op, const From* from, To* to, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) {
    if constexpr (std::is_same_v<To, std::int32_t>)
      if (from[i] < std::numeric_limits<To>::min() || from[i] > std::numeric_limits<To>::max())
        throw ValueError(fmt::format("[{}] x: a result is {}, which passes i32; cast x to f64 first", op, from[i]));
    to[i] = static_cast<To>(from[i]);
  }
}

// Folds the last of the folded segments, then the rest in the accumulators' type.
template <class Fold, class T, class Out>
void fold_segments(const T* x, std::vector<Segment> s, Out* out, std::int64_t out_n) {
  using A = typename Fold::template Acc<T>;
  std::size_t last = s.size(), folds = 0;
  std::int64_t outer = 1, inner = 1;
  for (std::size_t i = 0; i < s.size(); ++i)
    if (s[i].folded) last = i, ++folds;
  if (folds == 0) return detail::fold_axis<Fold>(x, out_n, 1, 1, out);
  for (std::size_t i = 0; i < s.size(); ++i)
    if (i != last) (i < last ? outer : inner) *= s[i].extent;
  const std::int64_t n = s[last].extent;
  if (folds == 1) return detail::fold_axis<Fold>(x, outer, n, inner, out);
  memory::Scratch<A> partial(outer * inner);
  detail::fold_axis<Fold>(x, outer, n, inner, partial.data());
  s.erase(s.begin() + static_cast<std::ptrdiff_t>(last));
  fold_segments<Fold>(static_cast<const A*>(partial.data()), std::move(s), out, out_n);
}

template <class Fold>
Tensor fold(std::string_view op, const Tensor& x, const Plan& plan) {
  const OpGuard scope(op);
  Tensor y(plan.result, x.dtype());
  dispatch(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    using A = typename Fold::template Acc<T>;
    const auto s = segments_of(x.shape(), plan);
    if constexpr (std::is_integral_v<T> && !std::is_same_v<A, T>) {
      memory::Scratch<A> wide(y.numel());
      fold_segments<Fold>(x.data<T>(), s, wide.data(), y.numel());
      narrow(op, wide.data(), y.data<T>(), y.numel());
    } else {
      fold_segments<Fold>(x.data<T>(), s, y.data<T>(), y.numel());
    }
  });
  return y;
}

template <class Fold>
Variable extreme(std::string_view op, const Variable& x, const Axes& axes, bool keepdims) {
  const Plan plan = plan_of(op, x.shape(), axes, keepdims);
  check_count(op, x.shape(), plan);
  // The gradient's shares among equal extremes are constants of the graph.
  return record(op, fold<Fold>(op, x.value(), plan), {x},
                [x = x.detach(), axes, kept = plan.kept](const VjpContext& p) -> Grads {
                  const Variable best = reshape(p.output.detach(), kept);
                  const Variable is_best = cast(equal(x, best), x.dtype());
                  return {mul(div(is_best, sum(is_best, axes, true)), reshape(p.grad, kept))};
                });
}

}  // namespace

Variable sum(const Variable& x, const Axes& axes, bool keepdims) {
  const Plan plan = plan_of("sum", x.shape(), axes, keepdims);
  return record(
      "sum", fold<detail::SumFold>("sum", x.value(), plan), {x},
      [shape = x.shape(), kept = plan.kept](const VjpContext& p) -> Grads {
        return {broadcast_to(reshape(p.grad, kept), shape)};
      },
      SaveOutput::no);
}

Variable mean(const Variable& x, const Axes& axes, bool keepdims) {
  detail::check_float("mean", x);
  const Plan plan = plan_of("mean", x.shape(), axes, keepdims);
  check_count("mean", x.shape(), plan);
  return sum(x, axes, keepdims) / static_cast<double>(plan.count);
}

Variable max(const Variable& x, const Axes& axes, bool keepdims) {
  return extreme<detail::MaxFold>("max", x, axes, keepdims);
}
Variable min(const Variable& x, const Axes& axes, bool keepdims) {
  return extreme<detail::MinFold>("min", x, axes, keepdims);
}

Variable logsumexp(const Variable& x, const Axes& axes, bool keepdims) {
  detail::check_float("logsumexp", x);
  const Plan plan = plan_of("logsumexp", x.shape(), axes, keepdims);
  check_count("logsumexp", x.shape(), plan);
  Tensor y;
  {
    NoGradGuard off;
    const Variable top = max(x, axes, true);
    // An infinite maximum must not be subtracted: inf - inf is NaN.
    const Variable m =
        detail::map("logsumexp", top.value(), [](auto v) { return std::isfinite(v) ? v : decltype(v)(0); });
    y = add(log(sum(exp(sub(x, m)), axes, true)), m).value().reshape(plan.result);
  }
  return record("logsumexp", std::move(y), {x}, [x, kept = plan.kept](const VjpContext& p) -> Grads {
    return {mul(exp(sub(x, reshape(p.output, kept))), reshape(p.grad, kept))};
  });
}

Variable var(const Variable& x, const Axes& axes, bool keepdims) {
  detail::check_float("var", x);
  const Plan plan = plan_of("var", x.shape(), axes, keepdims);
  check_count("var", x.shape(), plan);
  Tensor y;
  {
    NoGradGuard off;
    y = mean(square(sub(x, mean(x, axes, true))), axes, keepdims).value();
  }
  return record(
      "var", std::move(y), {x},
      [x, axes, kept = plan.kept, n = plan.count](const VjpContext& p) -> Grads {
        const Variable g = mul(reshape(p.grad, kept), 2.0 / static_cast<double>(n));
        return {mul(sub(x, mean(x, axes, true)), g)};
      },
      SaveOutput::no);
}

Tensor argmax(const Tensor& x, int axis) {
  if (!x.defined()) throw ValueError("[argmax] x: the tensor is undefined");
  const auto a = static_cast<std::size_t>(normalize_axis("argmax", axis, x.rank()));
  const std::int64_t n = x.shape()[a];
  if (n < 1 || n > std::numeric_limits<std::int32_t>::max())
    throw ValueError(fmt::format("[argmax] x: got {} entries along axis {}; must be in [1, 2^31)", n, a));
  Shape shape;
  std::int64_t outer = 1, inner = 1;
  for (std::size_t i = 0; i < x.shape().size(); ++i) {
    if (i == a) continue;
    (i < a ? outer : inner) *= x.shape()[i];
    shape.push_back(x.shape()[i]);
  }
  Tensor y(shape, i32);
  dispatch(x.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const T* from = x.data<T>();
    auto* to = y.data<std::int32_t>();
    parallel_ranges(outer * inner, std::max<std::int64_t>(1, detail::grain / n),
                    [=](std::int64_t begin, std::int64_t end) {
                      for (std::int64_t at = begin; at < end; ++at) {
                        const T* p = from + at / inner * n * inner + at % inner;
                        std::int64_t best = 0;
                        for (std::int64_t i = 1; i < n && p[best * inner] == p[best * inner]; ++i)
                          if (p[i * inner] > p[best * inner] || p[i * inner] != p[i * inner]) best = i;
                        to[at] = static_cast<std::int32_t>(best);
                      }
                    });
  });
  return y;
}

Variable sum_to(const Variable& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  const int lead = x.rank() - shape.rank();
  Axes axes;
  bool fits = lead >= 0;
  for (int i = 0; i < x.rank() && fits; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const std::int64_t wanted = i < lead ? 1 : shape[static_cast<std::size_t>(i - lead)];
    fits = wanted == x.shape()[at] || wanted == 1;
    if (wanted != x.shape()[at] || i < lead) axes.push_back(i);
  }
  if (!fits)
    throw ValueError(fmt::format("[sum_to] shape: got {}; must broadcast to x's {}", shape.str(), x.shape().str()));
  return reshape(axes.empty() ? x : sum(x, axes, true), shape);
}

}  // namespace vg
