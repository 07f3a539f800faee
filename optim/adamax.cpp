#include "optim/adamax.hpp"

#include <cmath>

#include "optim/checks.hpp"
#include "optim/fused.hpp"

namespace vg {

namespace {

template <class T>
struct Step {
  detail::Prepare<T> prepare;
  T new1, beta2, size, eps;  // new1: 1 - beta1; size: lr / (1 - beta1^t)
};

template <class T>
void adamax(T* __restrict p, const T* __restrict g, T* __restrict m, T* __restrict u, std::int64_t n, const Step<T> s) {
  for (std::int64_t i = 0; i < n; ++i) {
    const T d = s.prepare(g[i], p[i]);
    m[i] += s.new1 * (d - m[i]);
    const T faded = s.beta2 * u[i], now = std::abs(d) + s.eps;
    u[i] = faded > now ? faded : now;
    p[i] -= s.size * m[i] / u[i];
  }
}

}  // namespace

Adamax::Adamax(const States& states, AdamaxOptions options)
    : Optimizer("Adamax", states, common_of(options)), betas_(options.betas), eps_(options.eps) {
  detail::require_betas(kind(), betas_);
  detail::require_rate(kind(), "eps", eps_);
}

Values Adamax::own_settings() const {
  return {{"betas", std::vector<double>(betas_.begin(), betas_.end())}, {"eps", eps_}};
}

void Adamax::update_leaf(const LeafUpdate& u) const {
  const double beta1 = u.momentum.value_or(betas_[0]);
  const double size = u.lr / (1 - std::pow(beta1, static_cast<double>(u.updates)));
  dispatch_float(kind(), u.value.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const auto as = [](double x) { return static_cast<T>(x); };
    const Step<T> s{
        {as(u.clip_scale), as(u.clip_value), as(u.weight_decay)}, as(1 - beta1), as(betas_[1]), as(size), as(eps_)};
    T *p = u.value.data<T>(), *m = u.moments[0].data<T>(), *inf = u.moments[1].data<T>();
    const T* g = u.grad.data<T>();
    parallel_ranges(u.value.numel(), detail::update_grain, [&](std::int64_t begin, std::int64_t end) {
      adamax(p + begin, g + begin, m + begin, inf + begin, end - begin, s);
    });
  });
}

}  // namespace vg
