#include "optim/radam.hpp"

#include <cmath>

#include "optim/checks.hpp"
#include "optim/fused.hpp"

namespace vg {

namespace {

template <class T>
struct Step {
  detail::Prepare<T> prepare;
  T keep;               // of p: 1, or 1 - lr * weight_decay
  T new1, beta2, new2;  // 1 - beta1, beta2, 1 - beta2
  T size, eps;          // all that m is multiplied by
};

template <bool adaptive, class T>
void radam(T* __restrict p, const T* __restrict g, T* __restrict m, T* __restrict v, std::int64_t n, const Step<T> s) {
  for (std::int64_t i = 0; i < n; ++i) {
    const T d = s.prepare(g[i], p[i]);
    m[i] += s.new1 * (d - m[i]);
    v[i] = s.beta2 * v[i] + s.new2 * d * d;
    p[i] = s.keep * p[i] - (adaptive ? s.size * m[i] / (std::sqrt(v[i]) + s.eps) : s.size * m[i]);
  }
}

}  // namespace

RAdam::RAdam(const States& states, RAdamOptions options)
    : Optimizer("RAdam", states, common_of(options)),
      betas_(options.betas),
      eps_(options.eps),
      decoupled_(options.decoupled_weight_decay) {
  detail::require_betas(kind(), betas_);
  detail::require_rate(kind(), "eps", eps_);
}

Values RAdam::own_settings() const {
  return {{"betas", std::vector<double>(betas_.begin(), betas_.end())},
          {"eps", eps_},
          {"decoupled_weight_decay", decoupled_}};
}

void RAdam::update_leaf(const LeafUpdate& u) const {
  const double beta1 = u.momentum.value_or(betas_[0]), beta2 = betas_[1], t = static_cast<double>(u.updates);
  const double fade = std::pow(beta2, t), fresh = 1 - fade;
  const double most = 2 / (1 - beta2) - 1, length = most - 2 * t * fade / fresh;  // R and r(t)
  const bool adaptive = length > 5;
  double size = u.lr / (1 - std::pow(beta1, t));
  if (adaptive)
    size *= std::sqrt((length - 4) * (length - 2) * most / ((most - 4) * (most - 2) * length)) * std::sqrt(fresh);
  dispatch_float(kind(), u.value.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const auto as = [](double x) { return static_cast<T>(x); };
    const Step<T> s{{as(u.clip_scale), as(u.clip_value), as(decoupled_ ? 0 : u.weight_decay)},
                    as(decoupled_ ? 1 - u.lr * u.weight_decay : 1),
                    as(1 - beta1),
                    as(beta2),
                    as(1 - beta2),
                    as(size),
                    as(eps_)};
    T *p = u.value.data<T>(), *m = u.moments[0].data<T>(), *v = u.moments[1].data<T>();
    const T* g = u.grad.data<T>();
    auto* run = adaptive ? radam<true, T> : radam<false, T>;
    parallel_ranges(u.value.numel(), detail::update_grain, [&](std::int64_t begin, std::int64_t end) {
      run(p + begin, g + begin, m + begin, v + begin, end - begin, s);
    });
  });
}

}  // namespace vg
