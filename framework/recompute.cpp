#include "framework/recompute.hpp"

#include <fmt/format.h>

#include "framework/autocast.hpp"
#include "framework/error.hpp"
#include "framework/random.hpp"

namespace vg {

namespace {

struct Leaf {
  std::string path, name;
  State state;
  Variable variable;
};

// The states' leaves: those that take gradients, and the others, which a run may change.
struct Leaves {
  std::vector<Leaf> trained, kept;

  explicit Leaves(const States& states) {
    for (const auto& [path, state] : states)
      for (const std::string& name : state.leaves())
        (state[name].requires_grad() ? trained : kept).push_back({path, name, state, state[name]});
  }
};

// Gives leaves other values for a scope.
class Exchange {
 public:
  explicit Exchange(const std::vector<Leaf>& leaves) : leaves_(leaves) {
    for (const Leaf& l : leaves) {
      now_.push_back(l.state[l.name].value());
      State(l.state).set(l.name, l.variable.value());
    }
  }
  ~Exchange() {
    for (std::size_t i = 0; i < leaves_.size(); ++i) State(leaves_[i].state).set(leaves_[i].name, now_[i]);
  }
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

 private:
  const std::vector<Leaf>& leaves_;
  std::vector<Tensor> now_;
};

// What a run depends on beside its input.
struct Setting {
  Leaves leaves;
  random::Key key = random::default_generator().key();
  Compute compute = autocast();

  explicit Setting(const States& states) : leaves(states) {}
};

Grads pull_again(const std::function<Variable(const Variable&)>& f, const Variable& x, const Setting& before,
                 const Pull& pull) {
  for (const Leaf& l : before.leaves.trained)
    if (!same(l.state[l.name], l.variable))
      throw ValueError(
          fmt::format("[recompute] backward: the parameter \"{}\", leaf \"{}\", was changed since", l.path, l.name));
  const bool create_graph = recording();
  const Exchange states(before.leaves.kept);
  random::Generator again(before.key);
  const random::GeneratorScope generator(again);
  const Autocast compute(before.compute);
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
  for (std::size_t i = 0; i < before.leaves.trained.size(); ++i) want(before.leaves.trained[i].variable, i + 1);
  Grads grads(before.leaves.trained.size() + 1);
  if (!y.requires_grad()) return grads;
  const std::vector<Variable> found =
      gradients(y, wanted, pull.grad, {.create_graph = create_graph, .allow_unused = true});
  for (std::size_t i = 0; i < found.size(); ++i) grads[places[i]] = found[i];
  return grads;
}

}  // namespace

Variable recompute(std::function<Variable(const Variable&)> f, const Variable& x, const States& states) {
  if (!f) throw ValueError("[recompute] f: got none; must be a function");
  const Setting before(states);
  const Tensor y = [&] {
    const NoGrad nothing_kept;
    return f(x).value();
  }();
  std::vector<Variable> inputs{x};
  for (const Leaf& l : before.leaves.trained) inputs.push_back(l.variable);
  return record(
      "recompute", y, std::move(inputs),
      [f = std::move(f), x, before](const Pull& pull) { return pull_again(f, x, before, pull); }, Output::dropped);
}

Variable recompute(Module& block, const Variable& x) {
  return recompute([&block](const Variable& v) { return block(v); }, x, block.states());
}

}  // namespace vg
