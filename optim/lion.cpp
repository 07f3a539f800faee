#include "optim/lion.hpp"

#include "optim/checks.hpp"
#include "optim/fused.hpp"

namespace vg {

namespace {

template <class T>
struct Step {
  detail::Prepare<T> prepare;
  T keep, lr;                  // keep: 1 - lr * weight_decay
  T beta1, new1, beta2, new2;  // new: 1 - beta
};

template <class T>
T sign(T x) {
  return x > 0 ? T{1} : x < 0 ? T{-1} : x;  // 0 and NaN as they are
}

template <class T>
void lion(T* __restrict p, const T* __restrict g, T* __restrict m, std::int64_t n, const Step<T> s) {
  for (std::int64_t i = 0; i < n; ++i) {
    const T d = s.prepare(g[i], p[i]);
    p[i] = s.keep * p[i] - s.lr * sign(s.beta1 * m[i] + s.new1 * d);
    m[i] = s.beta2 * m[i] + s.new2 * d;
  }
}

}  // namespace

Lion::Lion(const States& states, LionOptions options)
    : Optimizer("Lion", states, common_of(options)), betas_(options.betas) {
  detail::require_betas(kind(), betas_);
}

Values Lion::own_settings() const { return {{"betas", std::vector<double>(betas_.begin(), betas_.end())}}; }

void Lion::update_leaf(const LeafUpdate& u) const {
  const double beta1 = u.momentum.value_or(betas_[0]), beta2 = betas_[1];
  dispatch_float(kind(), u.value.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const auto as = [](double x) { return static_cast<T>(x); };
    const Step<T> s{{as(u.clip_scale), as(u.clip_value), 0},
                    as(1 - u.lr * u.weight_decay),
                    as(u.lr),
                    as(beta1),
                    as(1 - beta1),
                    as(beta2),
                    as(1 - beta2)};
    T *p = u.value.data<T>(), *m = u.moments[0].data<T>();
    const T* g = u.grad.data<T>();
    parallel_ranges(u.value.numel(), detail::update_grain, [&](std::int64_t begin, std::int64_t end) {
      lion(p + begin, g + begin, m + begin, end - begin, s);
    });
  });
}

}  // namespace vg
