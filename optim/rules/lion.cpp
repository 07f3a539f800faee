#include "voxgrad/optim/rules/lion.hpp"

#include "voxgrad/optim/fused.hpp"

namespace vg {

namespace {

template <class T>
T sign(T x) {
  return x > 0 ? T{1} : x < 0 ? T{-1} : x;  // 0 and NaN stay as they are
}

}  // namespace

Lion::Lion(const States& states, LionOptions options) : OptimizerWith("Lion", states, std::move(options)) {}

ParamLoop Lion::update_leaf(const LeafUpdate& u) const {
  const double b1 = u.momentum.value_or(options_.betas[0]), b2 = options_.betas[1];
  return detail::element_loop<1>(u, 0, [&](auto as) {
    return [keep = as(1 - u.lr * u.weight_decay), lr = as(u.lr), beta1 = as(b1), new1 = as(1 - b1), beta2 = as(b2),
            new2 = as(1 - b2)](auto d, auto& p, auto& m) {
      p = keep * p - lr * sign(beta1 * m + new1 * d);
      m = beta2 * m + new2 * d;
    };
  });
}

}  // namespace vg
