#include "optim/sgd.hpp"

#include "framework/error.hpp"
#include "optim/checks.hpp"
#include "optim/fused.hpp"

namespace vg {

namespace {

template <class T>
struct Step {
  detail::Prepare<T> prepare;
  T lr, momentum;
};

template <class T>
void plain(T* __restrict p, const T* __restrict g, std::int64_t n, const Step<T> s) {
  for (std::int64_t i = 0; i < n; ++i) p[i] -= s.lr * s.prepare(g[i], p[i]);
}

template <bool nesterov, class T>
void heavy(T* __restrict p, const T* __restrict g, T* __restrict buf, std::int64_t n, const Step<T> s) {
  for (std::int64_t i = 0; i < n; ++i) {
    const T d = s.prepare(g[i], p[i]);
    buf[i] = s.momentum * buf[i] + d;
    p[i] -= s.lr * (nesterov ? d + s.momentum * buf[i] : buf[i]);
  }
}

}  // namespace

SGD::SGD(const States& states, SGDOptions options)
    : Optimizer("SGD", states, common_of(options)), momentum_(options.momentum), nesterov_(options.nesterov) {
  detail::require_decay(kind(), "momentum", momentum_);
  if (nesterov_ && moments().empty())
    throw ValueError("[SGD] nesterov: got true with momentum 0; must be false, or momentum above 0");
}

Values SGD::own_settings() const { return {{"momentum", momentum_}, {"nesterov", nesterov_}}; }

std::vector<Kept> SGD::moments() const {
  if (momentum_ == 0 && !momentum_is_scheduled()) return {};
  return {{"momentum_buffer"}};
}

void SGD::update_leaf(const LeafUpdate& u) const {
  dispatch_float("SGD", u.value.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const Step<T> s{{static_cast<T>(u.clip_scale), static_cast<T>(u.clip_value), static_cast<T>(u.weight_decay)},
                    static_cast<T>(u.lr),
                    static_cast<T>(u.momentum.value_or(momentum_))};
    T* p = u.value.data<T>();
    const T* g = u.grad.data<T>();
    T* buf = u.moments.empty() ? nullptr : u.moments[0].data<T>();
    auto* run = nesterov_ ? heavy<true, T> : heavy<false, T>;
    parallel_ranges(u.value.numel(), detail::update_grain, [&](std::int64_t begin, std::int64_t end) {
      if (buf)
        run(p + begin, g + begin, buf + begin, end - begin, s);
      else
        plain(p + begin, g + begin, end - begin, s);
    });
  });
}

}  // namespace vg
