#include "optim/adagrad.hpp"

#include <fmt/format.h>

#include <cmath>

#include "framework/error.hpp"
#include "optim/checks.hpp"
#include "optim/fused.hpp"

namespace vg {

namespace {

template <class T>
struct Step {
  detail::Prepare<T> prepare;
  T size, eps;  // size: lr / (1 + (t - 1) * lr_decay)
};

template <class T>
void adagrad(T* __restrict p, const T* __restrict g, T* __restrict sum, std::int64_t n, const Step<T> s) {
  for (std::int64_t i = 0; i < n; ++i) {
    const T d = s.prepare(g[i], p[i]);
    sum[i] += d * d;
    p[i] -= s.size * d / (std::sqrt(sum[i]) + s.eps);
  }
}

}  // namespace

Adagrad::Adagrad(const States& states, AdagradOptions options)
    : Optimizer("Adagrad", states, common_of(options)),
      lr_decay_(options.lr_decay),
      initial_accumulator_value_(options.initial_accumulator_value),
      eps_(options.eps) {
  detail::require_rate(kind(), "lr_decay", lr_decay_);
  detail::require_rate(kind(), "initial_accumulator_value", initial_accumulator_value_);
  detail::require_rate(kind(), "eps", eps_);
  if (momentum_is_scheduled())
    throw ValueError(
        "[Adagrad] lr: got a schedule that moves the momentum; must be one that does not (OneCycle: cycle_momentum = "
        "false), for there is none");
}

Values Adagrad::own_settings() const {
  return {{"lr_decay", lr_decay_}, {"initial_accumulator_value", initial_accumulator_value_}, {"eps", eps_}};
}

void Adagrad::update_leaf(const LeafUpdate& u) const {
  const double size = u.lr / (1 + static_cast<double>(u.updates - 1) * lr_decay_);
  dispatch_float(kind(), u.value.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const auto as = [](double x) { return static_cast<T>(x); };
    const Step<T> s{{as(u.clip_scale), as(u.clip_value), as(u.weight_decay)}, as(size), as(eps_)};
    T *p = u.value.data<T>(), *sum = u.moments[0].data<T>();
    const T* g = u.grad.data<T>();
    parallel_ranges(u.value.numel(), detail::update_grain, [&](std::int64_t begin, std::int64_t end) {
      adagrad(p + begin, g + begin, sum + begin, end - begin, s);
    });
  });
}

}  // namespace vg
