// Helpers of the update loops, which clip and decay a gradient in the same loop that uses it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>

#include "voxgrad/optim/optimizer.hpp"

namespace vg::detail {

/// clip(g * scale, -limit, limit) + l2 * p. With scale 1, limit infinity and l2 0 the gradient is unchanged.
template <class T>
struct Prepare {
  T scale = 1;
  T limit = std::numeric_limits<T>::infinity();
  T l2 = 0;

  T operator()(T g, T p) const {
    g *= scale;
    g = g < -limit ? -limit : g;  // written so that NaN stays NaN
    g = g > limit ? limit : g;
    return g + l2 * p;
  }
};

/// Converts numbers of a step to the leaf's type.
template <class T>
struct As {
  T operator()(double x) const { return static_cast<T>(x); }
};

template <class T>
Prepare<T> prepare_of(const LeafUpdate& u, double l2) {
  const As<T> as;
  return {as(u.clip_scale), as(u.clip_value), as(l2)};
}

// The rule works on copies, so that the compiler need not reload values that its writes might have changed.
template <class Rule, class T, class... M>
void apply_rule(const Rule rule, const Prepare<T> prepare, std::int64_t n, T* __restrict p, const T* __restrict g,
                M* __restrict... m) {
  for (std::int64_t i = 0; i < n; ++i) {
    const auto change = [&](T value, M... moments) {
      rule(prepare(g[i], value), value, moments...);
      p[i] = value;
      ((m[i] = moments), ...);
    };
    change(p[i], m[i]...);
  }
}

template <class T, class Rule, std::size_t... K>
ParamLoop rule_loop(const LeafUpdate& u, double l2, const Rule& rule, std::index_sequence<K...>) {
  return [rule, prepare = prepare_of<T>(u, l2), p = u.value.data<T>(), g = u.grad.data<T>(),
          ... m = u.moments[K].template data<T>()](std::int64_t begin, std::int64_t end) {
    apply_rule(rule, prepare, end - begin, p + begin, g + begin, (m + begin)...);
  };
}

/// The loop of an optimizer that updates each element by itself, with its first `count` moments. rule_of(as) returns
/// rule(d, p, m...): d is the prepared gradient, including l2 * p; the rule changes p and the moments in place. `as`
/// converts numbers to the leaf's type, and the rule captures the results.
template <std::size_t count, class RuleOf>
ParamLoop element_loop(const LeafUpdate& u, double l2, RuleOf rule_of) {
  return dispatch_float("Optimizer", u.value.dtype(), [&](auto zero) -> ParamLoop {
    using T = decltype(zero);
    return rule_loop<T>(u, l2, rule_of(As<T>{}), std::make_index_sequence<count>{});
  });
}

/// The running means of Adam and related optimizers: m of g, v of g^2.
template <class T>
struct RunningMeans {
  T new1, beta2, new2;  // 1 - beta1, beta2, 1 - beta2

  void operator()(T d, T& m, T& v) const {
    m += new1 * (d - m);
    v = beta2 * v + new2 * d * d;
  }
};

template <class T>
RunningMeans<T> running_means(As<T> as, double beta1, double beta2) {
  return {as(1 - beta1), as(beta2), as(1 - beta2)};
}

/// weight_decay, either as L2 (added to the gradient) or decoupled (p is multiplied by `keep`).
struct Decay {
  Decay(const LeafUpdate& u, bool decoupled)
      : l2(decoupled ? 0 : u.weight_decay), keep(decoupled ? 1 - u.lr * u.weight_decay : 1) {}
  double l2, keep;
};

}  // namespace vg::detail
