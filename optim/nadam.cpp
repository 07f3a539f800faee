#include "optim/nadam.hpp"

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
  T of_g, of_m;         // lr times the factors of g and m
  T root_scale, eps;    // 1 / sqrt(1 - beta2^t)
};

template <class T>
void nadam(T* __restrict p, const T* __restrict g, T* __restrict m, T* __restrict v, std::int64_t n, const Step<T> s) {
  for (std::int64_t i = 0; i < n; ++i) {
    const T d = s.prepare(g[i], p[i]);
    m[i] += s.new1 * (d - m[i]);
    v[i] = s.beta2 * v[i] + s.new2 * d * d;
    p[i] = s.keep * p[i] - (s.of_g * d + s.of_m * m[i]) / (std::sqrt(v[i]) * s.root_scale + s.eps);
  }
}

}  // namespace

NAdam::NAdam(const States& states, NAdamOptions options)
    : Optimizer("NAdam", states, common_of(options)),
      betas_(options.betas),
      eps_(options.eps),
      momentum_decay_(options.momentum_decay),
      decoupled_(options.decoupled_weight_decay) {
  detail::require_betas(kind(), betas_);
  detail::require_rate(kind(), "eps", eps_);
  detail::require_rate(kind(), "momentum_decay", momentum_decay_);
}

Values NAdam::own_settings() const {
  return {{"betas", std::vector<double>(betas_.begin(), betas_.end())},
          {"eps", eps_},
          {"momentum_decay", momentum_decay_},
          {"decoupled_weight_decay", decoupled_}};
}

void NAdam::update_leaf(const LeafUpdate& u) const {
  const double beta1 = u.momentum.value_or(betas_[0]), beta2 = betas_[1], t = static_cast<double>(u.updates);
  const auto mu_at = [&](double when) { return beta1 * (1 - 0.5 * std::pow(0.96, when * momentum_decay_)); };
  const double mu = mu_at(t), next = mu_at(t + 1), product = u.scalars[0] *= mu;
  const double of_g = u.lr * (1 - mu) / (1 - product), of_m = u.lr * next / (1 - product * next);
  const double root_scale = 1 / std::sqrt(1 - std::pow(beta2, t));
  dispatch_float(kind(), u.value.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const auto as = [](double x) { return static_cast<T>(x); };
    const Step<T> s{{as(u.clip_scale), as(u.clip_value), as(decoupled_ ? 0 : u.weight_decay)},
                    as(decoupled_ ? 1 - u.lr * u.weight_decay : 1),
                    as(1 - beta1),
                    as(beta2),
                    as(1 - beta2),
                    as(of_g),
                    as(of_m),
                    as(root_scale),
                    as(eps_)};
    T *p = u.value.data<T>(), *m = u.moments[0].data<T>(), *v = u.moments[1].data<T>();
    const T* g = u.grad.data<T>();
    parallel_ranges(u.value.numel(), detail::update_grain, [&](std::int64_t begin, std::int64_t end) {
      nadam(p + begin, g + begin, m + begin, v + begin, end - begin, s);
    });
  });
}

}  // namespace vg
