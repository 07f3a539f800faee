#include "voxgrad/optim/rules/sgd.hpp"

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/optim/fused.hpp"

namespace vg {

SGD::SGD(const States& states, SGDOptions options) : OptimizerWith("SGD", states, std::move(options)) {
  if (options_.nesterov && moments().empty())
    throw ValueError("[SGD] nesterov: got true with momentum 0; must be false, or momentum above 0");
}

std::vector<SlotSpec> SGD::moments() const {
  if (options_.momentum == 0 && !momentum_is_scheduled()) return {};
  return {{"momentum_buffer"}};
}

ParamLoop SGD::update_leaf(const LeafUpdate& u) const {
  if (u.moments.empty())
    return detail::element_loop<0>(u, u.weight_decay,
                                   [&](auto as) { return [lr = as(u.lr)](auto d, auto& p) { p -= lr * d; }; });
  const auto heavy = [&](auto nesterov) {
    return detail::element_loop<1>(u, u.weight_decay, [&](auto as) {
      return [lr = as(u.lr), momentum = as(u.momentum.value_or(options_.momentum))](auto d, auto& p, auto& buf) {
        buf = momentum * buf + d;
        p -= lr * (decltype(nesterov)::value ? d + momentum * buf : buf);
      };
    });
  };
  return options_.nesterov ? heavy(std::true_type{}) : heavy(std::false_type{});
}

}  // namespace vg
