#include "voxgrad/framework/transforms/recompute.hpp"

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/nn/replay_context.hpp"

namespace vg {

namespace {

Grads pull_again(const std::function<Variable(const Variable&)>& f, const Variable& x, const ReplayContext& before,
                 const VjpContext& pull) {
  for (const ReplayContext::Leaf& l : before.trained())
    if (!l.state[l.name].is(l.variable))
      throw ValueError(
          fmt::format("[recompute] backward: the parameter \"{}\", leaf \"{}\", was changed since", l.path, l.name));
  const bool create_graph = recording();
  const ReplayContext::Guard as_then(before);
  const EnableGrad on;
  const Variable own = create_graph ? x : Variable(x.value(), x.requires_grad());
  const Variable y = f(own);

  std::vector<Variable> wanted;
  std::vector<std::size_t> places;
  const auto want = [&](const Variable& v, std::size_t i) {
    if (!pull.needs(i)) return;
    wanted.push_back(v);
    places.push_back(i);
  };
  want(own, 0);
  for (std::size_t i = 0; i < before.trained().size(); ++i) want(before.trained()[i].variable, i + 1);
  Grads grads(before.trained().size() + 1);
  if (!y.requires_grad()) return grads;
  const std::vector<Variable> found =
      gradients(y, wanted, pull.grad, {.create_graph = create_graph, .allow_unused = true});
  for (std::size_t i = 0; i < found.size(); ++i) grads[places[i]] = found[i];
  return grads;
}

}  // namespace

Variable recompute(std::function<Variable(const Variable&)> f, const Variable& x, const States& states) {
  if (!f) throw ValueError("[recompute] f: got none; must be a function");
  const ReplayContext before(states);
  const Tensor y = [&] {
    const NoGradGuard nothing_kept;
    return f(x).value();
  }();
  std::vector<Variable> inputs{x};
  for (const ReplayContext::Leaf& l : before.trained()) inputs.push_back(l.variable);
  return record(
      "recompute", y, std::move(inputs),
      [f = std::move(f), x, before](const VjpContext& pull) { return pull_again(f, x, before, pull); }, SaveOutput::no);
}

Variable recompute(Module& block, const Variable& x) {
  return recompute([&block](const Variable& v) { return block(v); }, x, block.states());
}

}  // namespace vg
