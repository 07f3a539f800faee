#include "optim/lamb.hpp"

#include <algorithm>
#include <cmath>

#include "optim/checks.hpp"
#include "optim/fused.hpp"

namespace vg {

namespace {

template <class T>
struct Step {
  detail::Prepare<T> prepare;
  T new1, beta2, new2;                // 1 - beta1, beta2, 1 - beta2
  T m_scale, root_scale, eps, decay;  // 1 / (1 - beta1^t), 1 / sqrt(1 - beta2^t)

  T direction(T p, T m, T v) const { return m * m_scale / (std::sqrt(v) * root_scale + eps) + decay * p; }
};

struct Squares {
  double p = 0, d = 0;  // sums of squares: of the parameter, of the direction
};

// The moments, and the sums over them. The direction is not kept: computing it again is cheaper than its memory.
template <class T>
Squares moments_of(const T* __restrict p, const T* __restrict g, T* __restrict m, T* __restrict v, std::int64_t n,
                   const Step<T> s) {
  constexpr std::int64_t lanes = 8;  // independent sums, so that one addition need not wait for the other
  double ps[lanes] = {}, ds[lanes] = {};
  const auto one = [&](std::int64_t i, std::int64_t lane) {
    const T d = s.prepare(g[i], p[i]);
    m[i] += s.new1 * (d - m[i]);
    v[i] = s.beta2 * v[i] + s.new2 * d * d;
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

// |p| / |d|, or 1 where that says nothing. A NaN stays with its elements.
double trust_ratio(const Squares& sums) {
  return sums.p > 0 && sums.d > 0 ? std::sqrt(sums.p) / std::sqrt(sums.d) : 1.0;
}

}  // namespace

LAMB::LAMB(const States& states, LAMBOptions options)
    : Optimizer("LAMB", states, common_of(options)), betas_(options.betas), eps_(options.eps) {
  detail::require_betas(kind(), betas_);
  detail::require_rate(kind(), "eps", eps_);
}

Values LAMB::own_settings() const {
  return {{"betas", std::vector<double>(betas_.begin(), betas_.end())}, {"eps", eps_}};
}

void LAMB::update_leaf(const LeafUpdate& u) const {
  const double beta1 = u.momentum.value_or(betas_[0]), beta2 = betas_[1], t = static_cast<double>(u.updates);
  const double m_scale = 1 / (1 - std::pow(beta1, t)), root_scale = 1 / std::sqrt(1 - std::pow(beta2, t));
  dispatch_float(kind(), u.value.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const auto as = [](double x) { return static_cast<T>(x); };
    const Step<T> s{{as(u.clip_scale), as(u.clip_value), 0},
                    as(1 - beta1),
                    as(beta2),
                    as(1 - beta2),
                    as(m_scale),
                    as(root_scale),
                    as(eps_),
                    as(u.weight_decay)};
    T *p = u.value.data<T>(), *m = u.moments[0].data<T>(), *v = u.moments[1].data<T>();
    const T* g = u.grad.data<T>();
    // No more parts than fit here: a step takes no memory once it has begun to change something.
    constexpr std::int64_t most_parts = 256;
    const std::int64_t n = u.value.numel(), grain = std::max(detail::update_grain, (n + most_parts - 1) / most_parts);
    Squares parts[most_parts];
    parallel_ranges(n, grain, [&](std::int64_t begin, std::int64_t end) {
      parts[begin / grain] = moments_of(p + begin, g + begin, m + begin, v + begin, end - begin, s);
    });
    Squares sums;
    for (const Squares& part : parts) sums = {sums.p + part.p, sums.d + part.d};
    const T size = as(u.lr * trust_ratio(sums));
    parallel_ranges(n, grain, [&](std::int64_t begin, std::int64_t end) {
      move(p + begin, m + begin, v + begin, end - begin, s, size);
    });
  });
}

}  // namespace vg
