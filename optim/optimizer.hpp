// Optimizer: what all optimizers share. A step is, in braintools' order: clip by norm, clip by value, [add weight_decay
// * p for the L2 ones], moments, [decay p for AdamW], p -= lr * direction. The numbers are PyTorch's.
//
//   vg::AdamW optimizer(model.parameters(), {.lr = 1e-3});
//   loss.backward(); optimizer.step(); optimizer.zero_grad();   // from each parameter's grad()
//   optimizer.update(grads.states);                             // or from the gradients that vg::grad returned
//
// Options that every optimizer takes:
//   lr            a number or a Schedule (optim/schedule.hpp) of the steps done so far
//   weight_decay  at least 0
//   clip_norm     the norm of all gradients together is limited to it, as by clip_by_global_norm (optim/clip.hpp)
//   clip_value    then each element to [-clip_value, clip_value]
//   groups        parts of the model with settings of their own, see ParamGroup
// Neither clipping changes the gradients that you see. A setting that is not allowed is a ValueError.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "voxgrad/framework/nn/description.hpp"
#include "voxgrad/framework/nn/state.hpp"
#include "voxgrad/framework/transforms/grad.hpp"
#include "voxgrad/optim/fused_step.hpp"
#include "voxgrad/optim/schedule.hpp"

namespace vg {

/// Settings for the parameters whose path, or path and leaf ("head.weight.bias"), fits `path` (path_fits: "head",
/// "layers.*.norm", "**.bias"), and whose leaf is `leaf`; either may be left out. Where several groups fit, the longest
/// path wins, then the one with a leaf:
///   .groups = {{.path = "head", .lr_scale = 0.1}, {.leaf = "bias", .weight_decay = 0.0}}
struct ParamGroup {
  std::string path{};
  std::string leaf{};
  std::optional<Schedule> lr{};  ///< in place of the optimizer's
  double lr_scale = 1.0;         ///< times it; at least 0
  std::optional<double> weight_decay{};
};

/// One leaf's part of a step, for an optimizer's update_leaf().
struct LeafUpdate {
  Tensor& value;                 ///< to be changed in place
  const Tensor& grad;            ///< of the same shape and dtype, before clipping
  std::vector<Tensor>& moments;  ///< in the order of moments(); to be changed in place
  std::vector<double>& scalars;  ///< in the order of scalars(); to be changed in place
  std::int64_t updates;          ///< of this leaf, this one included
  double lr;
  double weight_decay;
  std::optional<double> momentum;  ///< the schedule's, if it gives one
  double clip_scale;               ///< the gradient is to be multiplied by this,
  double clip_value;               ///< then limited to this (infinity: not)
};

/// Something that an optimizer keeps of each leaf, and what it is before the leaf's first update.
struct SlotSpec {
  std::string name;
  double start = 0.0;
};

class Optimizer : public Stateful {
 public:
  /// One step from each parameter's grad(). A parameter without one is skipped and its moments stay, as in torch. A
  /// frozen parameter is skipped, and its moments are forgotten: once it is unfrozen it starts as with a new optimizer.
  /// The values change in place; where a graph or another tensor still holds the old value, that one is left and a copy
  /// is changed. Throws ValueError, having changed nothing, when a parameter's dtype or shape is not what its moments
  /// have, when a schedule of your own gives a bad rate, when the model has modules that compute otherwise in training
  /// (Dropout, BatchNorm) and none was ever in training mode, or when a layer was built after the optimizer was made.
  void step();
  /// One step from gradients by path and leaf; those undefined or not there are skipped. Throws ValueError for a path
  /// or leaf that the optimizer does not have, or a gradient of another shape or dtype than its parameter's.
  void update(const StateGrads& grads);
  void zero_grad();

  /// The rate that the next step will use; of the parameters under a path that no group changes, or of one leaf.
  double lr() const;
  double lr(std::string_view path, std::string_view leaf) const;
  /// The momentum (or first beta) that the next step will use, if the schedule gives one.
  std::optional<double> scheduled_momentum() const;
  /// Steps done.
  std::int64_t steps() const { return steps_; }
  /// "SGD", "Adam", ...
  const std::string& kind() const { return kind_; }

  /// values kind, steps; parts settings (with the schedules'), schedules (the states of those that have one), moments
  /// (path -> leaf -> updates, scalars, and tensors, shared with the optimizer until its next step).
  StateDict save_state() const override;
  /// What does not fit, one line each: kind, settings, and every leaf that is missing, unexpected, or of another shape
  /// or dtype.
  std::vector<std::string> check_state(const StateDict& state) const override;
  /// Continues where the saved optimizer stopped, bit for bit. Throws IoError, having changed nothing, if it does not
  /// fit.
  void load_state(const StateDict& state) override;
  /// Lets load_state() take the moments and the step count of an optimizer with other settings: the settings here stay,
  /// and so does a schedule's state where the one saved is another schedule's.
  void allow_other_settings(bool on = true) { other_settings_ = on; }

 protected:
  struct Common {
    Schedule lr;
    double weight_decay;
    std::optional<double> clip_norm, clip_value;
    std::vector<ParamGroup> groups;
  };
  /// What any optimizer's options say of them.
  template <class Options>
  static Common common_of(const Options& o) {
    return {o.lr, o.weight_decay, o.clip_norm, o.clip_value, o.groups};
  }
  /// Frozen parameters are taken too, for when they are unfrozen. Throws ValueError for bad settings, no parameters, a
  /// state that is not a ParamState, a path given twice, a group that fits no parameter. A state reachable by two paths
  /// is updated once, under the first.
  Optimizer(std::string kind, const States& states, Common common);

  /// Settings of its own that a checkpoint must agree on.
  virtual Attributes own_settings() const = 0;
  /// The tensors that it keeps of each leaf, in the leaf's shape and dtype.
  virtual std::vector<SlotSpec> moments() const = 0;
  /// The single numbers that it keeps of each leaf.
  virtual std::vector<SlotSpec> scalars() const { return {}; }
  /// What a step does to a leaf; the loops of all leaves run as one pass (optim/fused.hpp helps to write one). Changes
  /// u.scalars, and leaves the tensors to the loop. Must not throw: another leaf's scalars may have changed.
  virtual ParamLoop update_leaf(const LeafUpdate& u) const = 0;
  /// What a second pass does to a leaf whose first loop gave LeafSums: they come added up, in an order that does not
  /// depend on the number of threads.
  virtual ParamLoop finish_leaf(const LeafUpdate&, const LeafSums&) const { return {}; }
  /// Whether some schedule moves the momentum.
  bool momentum_is_scheduled() const;

 private:
  friend class GradAccumulator;
  struct Slot {
    std::string path, leaf;
    State state;
    int group;  // -1: none
    std::int64_t updates = 0;
    std::vector<Tensor> moments{};
    std::vector<double> scalars{};
    std::string name() const { return path + "." + leaf; }
    bool frozen() const { return state.frozen(leaf); }
    void forget() {
      updates = 0;
      moments.clear();
      scalars.clear();
    }
  };
  struct Rates {
    double lr, weight_decay;
    std::optional<double> momentum;
  };

  void add_slots(const States& states);
  int group_of(const std::string& path, const std::string& leaf) const;
  void check_common() const;
  void require_trainable();
  void check_gradient(const Slot& slot, const Tensor& grad) const;
  Rates rates(int group) const;
  std::vector<Tensor> grads_of_slots() const;
  /// A step from scale * grads.
  void apply(const std::vector<Tensor>& grads, double scale = 1.0);
  void make_room(const std::vector<Tensor>& grads);
  void run_passes(const std::vector<Tensor>& grads, const std::vector<Rates>& by_group, double scale);
  std::vector<std::pair<std::string, Stateful*>> kept_schedules() const;
  StateDict settings() const;
  std::vector<std::string> check_leaf(const Slot& slot, const StateDict& saved) const;
  std::vector<std::string> check_schedules(const StateDict& state) const;

  std::string kind_;
  Common common_;
  std::vector<Slot> slots_;
  std::map<std::pair<std::string, std::string>, std::size_t, std::less<>>
      slot_of_;  // by path and leaf, other paths included
  std::int64_t steps_ = 0;
  bool other_settings_ = false;
  std::vector<States::ModeOf> modes_;                    // until one was in training mode
  std::vector<std::pair<std::string, State>> leafless_;  // states that had nothing to train when it was made

  // A step's own, by slot; kept for their memory.
  std::vector<Tensor*> values_;
  detail::FusedStep pass_;
};

}  // namespace vg
