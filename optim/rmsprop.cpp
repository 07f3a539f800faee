#include "optim/rmsprop.hpp"

#include <cmath>

#include "optim/checks.hpp"
#include "optim/fused.hpp"

namespace vg {

namespace {

template <class T>
struct Step {
  detail::Prepare<T> prepare;
  T alpha, fresh, eps, momentum, lr;  // fresh: 1 - alpha
};

// mean and buf are read and written only if centered and heavy.
template <bool centered, bool heavy, class T>
void rmsprop(T* __restrict p, const T* __restrict g, T* __restrict square, T* __restrict mean, T* __restrict buf,
             std::int64_t n, const Step<T> s) {
  for (std::int64_t i = 0; i < n; ++i) {
    const T d = s.prepare(g[i], p[i]);
    square[i] = s.alpha * square[i] + s.fresh * d * d;
    T spread = square[i];
    if constexpr (centered) {
      mean[i] += s.fresh * (d - mean[i]);
      spread -= mean[i] * mean[i];
      spread = spread < 0 ? T{0} : spread;  // rounding only; NaN passes
    }
    T direction = d / (std::sqrt(spread) + s.eps);
    if constexpr (heavy) direction = buf[i] = s.momentum * buf[i] + direction;
    p[i] -= s.lr * direction;
  }
}

}  // namespace

RMSProp::RMSProp(const States& states, RMSPropOptions options)
    : Optimizer("RMSProp", states, common_of(options)),
      alpha_(options.alpha),
      eps_(options.eps),
      momentum_(options.momentum),
      centered_(options.centered) {
  detail::require_decay(kind(), "alpha", alpha_);
  detail::require_rate(kind(), "eps", eps_);
  detail::require_decay(kind(), "momentum", momentum_);
}

Values RMSProp::own_settings() const {
  return {{"alpha", alpha_}, {"eps", eps_}, {"momentum", momentum_}, {"centered", centered_}};
}

std::vector<Kept> RMSProp::moments() const {
  std::vector<Kept> kept{{"square_avg"}};
  if (centered_) kept.push_back({"grad_avg"});
  if (keeps_momentum()) kept.push_back({"momentum_buffer"});
  return kept;
}

void RMSProp::update_leaf(const LeafUpdate& u) const {
  dispatch_float("RMSProp", u.value.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const auto as = [](double x) { return static_cast<T>(x); };
    const Step<T> s{{as(u.clip_scale), as(u.clip_value), as(u.weight_decay)},
                    as(alpha_),
                    as(1 - alpha_),
                    as(eps_),
                    as(u.momentum.value_or(momentum_)),
                    as(u.lr)};
    const bool heavy = keeps_momentum();
    T *p = u.value.data<T>(), *square = u.moments[0].data<T>();
    T* mean = centered_ ? u.moments[1].data<T>() : nullptr;
    T* buf = heavy ? u.moments.back().data<T>() : nullptr;
    const T* g = u.grad.data<T>();
    auto* run = centered_ ? (heavy ? rmsprop<true, true, T> : rmsprop<true, false, T>)
                          : (heavy ? rmsprop<false, true, T> : rmsprop<false, false, T>);
    parallel_ranges(u.value.numel(), detail::update_grain, [&](std::int64_t begin, std::int64_t end) {
      run(p + begin, g + begin, square + begin, mean ? mean + begin : nullptr, buf ? buf + begin : nullptr, end - begin,
          s);
    });
  });
}

}  // namespace vg
