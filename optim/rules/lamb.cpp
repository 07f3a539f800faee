#include "voxgrad/optim/rules/lamb.hpp"

#include <cmath>
#include <utility>

#include "voxgrad/optim/fused.hpp"

namespace vg {

namespace {

template <class T>
struct Step {
  detail::Prepare<T> prepare;
  detail::RunningMeans<T> means;
  T m_scale, root_scale, eps, decay;  // 1 / (1 - beta1^t), 1 / sqrt(1 - beta2^t)

  T direction(T p, T m, T v) const { return m * m_scale / (std::sqrt(v) * root_scale + eps) + decay * p; }
};

template <class T>
Step<T> step_of(const LeafUpdate& u, const std::array<double, 2>& betas, double eps) {
  const double beta1 = u.momentum.value_or(betas[0]), beta2 = betas[1], t = static_cast<double>(u.updates);
  const detail::As<T> as;
  return {detail::prepare_of<T>(u, 0),
          detail::running_means(as, beta1, beta2),
          as(1 / (1 - std::pow(beta1, t))),
          as(1 / std::sqrt(1 - std::pow(beta2, t))),
          as(eps),
          as(u.weight_decay)};
}

// Updates the moments and returns the sums of squares of the parameter and of the direction. The direction is not
// stored, because recomputing it is cheaper than its memory.
template <class T>
LeafSums measure(const T* __restrict p, const T* __restrict g, T* __restrict m, T* __restrict v, std::int64_t n,
                 const Step<T> s) {
  constexpr std::int64_t lanes = 8;  // independent sums, so that consecutive additions can overlap
  double ps[lanes] = {}, ds[lanes] = {};
  const auto one = [&](std::int64_t i, std::int64_t lane) {
    s.means(s.prepare(g[i], p[i]), m[i], v[i]);
    const double value = static_cast<double>(p[i]), way = static_cast<double>(s.direction(p[i], m[i], v[i]));
    ps[lane] += value * value;
    ds[lane] += way * way;
  };
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    for (std::int64_t l = 0; l < lanes; ++l) one(i + l, l);
  for (; i < n; ++i) one(i, i % lanes);
  const auto sum = [](const double* x) { return ((x[0] + x[4]) + (x[1] + x[5])) + ((x[2] + x[6]) + (x[3] + x[7])); };
  return {sum(ps), sum(ds)};
}

template <class T>
void move(T* __restrict p, const T* __restrict m, const T* __restrict v, std::int64_t n, const Step<T> s, T size) {
  for (std::int64_t i = 0; i < n; ++i) p[i] -= size * s.direction(p[i], m[i], v[i]);
}

// p| / |d|, or 1 if a norm is 0 or NaN. A NaN then stays in its own elements.
double trust_ratio(const LeafSums& sums) {
  return sums[0] > 0 && sums[1] > 0 ? std::sqrt(sums[0]) / std::sqrt(sums[1]) : 1.0;
}

}  // namespace

LAMB::LAMB(const States& states, LAMBOptions options) : OptimizerWith("LAMB", states, std::move(options)) {}

ParamLoop LAMB::update_leaf(const LeafUpdate& u) const {
  return dispatch_float(kind(), u.value.dtype(), [&](auto zero) -> ParamLoop {
    using T = decltype(zero);
    return [s = step_of<T>(u, options_.betas, options_.eps), p = std::as_const(u.value).data<T>(), g = u.grad.data<T>(),
            m = u.moments[0].data<T>(), v = u.moments[1].data<T>()](std::int64_t begin, std::int64_t end) {
      return measure(p + begin, g + begin, m + begin, v + begin, end - begin, s);
    };
  });
}

ParamLoop LAMB::finish_leaf(const LeafUpdate& u, const LeafSums& sums) const {
  return dispatch_float(kind(), u.value.dtype(), [&](auto zero) -> ParamLoop {
    using T = decltype(zero);
    return
        [s = step_of<T>(u, options_.betas, options_.eps), size = static_cast<T>(u.lr * trust_ratio(sums)),
         p = u.value.data<T>(), m = std::as_const(u.moments[0]).data<T>(), v = std::as_const(u.moments[1]).data<T>()](
            std::int64_t begin, std::int64_t end) { move(p + begin, m + begin, v + begin, end - begin, s, size); };
  });
}

}  // namespace vg
