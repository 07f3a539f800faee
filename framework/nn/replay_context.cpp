#include "voxgrad/framework/nn/replay_context.hpp"

namespace vg {

ReplayContext::ReplayContext(const States& states) : key_(random::default_generator().key()), compute_(autocast()) {
  for (const auto& [path, state] : states)
    for (const std::string& name : state.leaves())
      (state[name].requires_grad() ? trained_ : kept_).push_back({path, name, state, state[name]});
}

ReplayContext::Guard::Guard(const ReplayContext& run)
    : run_(run), generator_(run.key_), generator_scope_(generator_), compute_(run.compute_) {
  for (const Leaf& l : run.kept_) {
    now_.push_back(l.state[l.name].value());
    State(l.state).set(l.name, l.variable.value());
  }
}

ReplayContext::Guard::~Guard() {
  for (std::size_t i = 0; i < now_.size(); ++i) State(run_.kept_[i].state).set(run_.kept_[i].name, now_[i]);
}

}  // namespace vg
