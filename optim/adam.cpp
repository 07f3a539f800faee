#include "optim/adam.hpp"

#include <fmt/format.h>

#include <cmath>

#include "optim/checks.hpp"
#include "optim/fused.hpp"

namespace vg {

namespace {

template <class T>
struct Step {
  detail::Prepare<T> prepare;
  T keep;                   // of p: 1, or 1 - lr * weight_decay
  T new1, beta2, new2;      // 1 - beta1, beta2, 1 - beta2
  T size, root_scale, eps;  // lr / (1 - beta1^t), 1 / sqrt(1 - beta2^t)
};

template <class T>
void adam(T* __restrict p, const T* __restrict g, T* __restrict m, T* __restrict v, std::int64_t n, const Step<T> s) {
  for (std::int64_t i = 0; i < n; ++i) {
    const T d = s.prepare(g[i], p[i]);
    m[i] += s.new1 * (d - m[i]);
    v[i] = s.beta2 * v[i] + s.new2 * d * d;
    p[i] = s.keep * p[i] - s.size * m[i] / (std::sqrt(v[i]) * s.root_scale + s.eps);
  }
}

}  // namespace

namespace detail {

AdamFamily::AdamFamily(std::string kind, const States& states, Common common, std::array<double, 2> betas, double eps,
                       bool decoupled)
    : Optimizer(std::move(kind), states, std::move(common)), betas_(betas), eps_(eps), decoupled_(decoupled) {
  require_betas(this->kind(), betas);
  require_rate(this->kind(), "eps", eps);
}

Values AdamFamily::own_settings() const {
  return {{"betas", std::vector<double>(betas_.begin(), betas_.end())}, {"eps", eps_}};
}

void AdamFamily::update_leaf(const LeafUpdate& u) const {
  const double beta1 = u.momentum.value_or(betas_[0]), beta2 = betas_[1], t = static_cast<double>(u.updates);
  const double size = u.lr / (1 - std::pow(beta1, t)), root_scale = 1 / std::sqrt(1 - std::pow(beta2, t));
  dispatch_float(kind(), u.value.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const auto as = [](double x) { return static_cast<T>(x); };
    const Step<T> s{{as(u.clip_scale), as(u.clip_value), as(decoupled_ ? 0 : u.weight_decay)},
                    as(decoupled_ ? 1 - u.lr * u.weight_decay : 1),
                    as(1 - beta1),
                    as(beta2),
                    as(1 - beta2),
                    as(size),
                    as(root_scale),
                    as(eps_)};
    T *p = u.value.data<T>(), *m = u.moments[0].data<T>(), *v = u.moments[1].data<T>();
    const T* g = u.grad.data<T>();
    parallel_ranges(u.value.numel(), update_grain, [&](std::int64_t begin, std::int64_t end) {
      adam(p + begin, g + begin, m + begin, v + begin, end - begin, s);
    });
  });
}

}  // namespace detail

Adam::Adam(const States& states, AdamOptions options)
    : AdamFamily("Adam", states, common_of(options), options.betas, options.eps, false) {}

AdamW::AdamW(const States& states, AdamWOptions options)
    : AdamFamily("AdamW", states, common_of(options), options.betas, options.eps, true) {}

}  // namespace vg
