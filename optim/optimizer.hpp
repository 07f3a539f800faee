// Optimizer: the common base of all optimizers. A step has braintools' order: clip by norm, clip by value, [L2: add
// weight_decay * p], moments, [AdamW: decay p], p -= lr * direction. The results are PyTorch's.
//
//   vg::AdamW optimizer(model.parameters(), {.lr = 1e-3});
//   loss.backward(); optimizer.step(); optimizer.zero_grad();   // uses each parameter's grad()
//   optimizer.update(grads.states);                             // uses the gradients that vg::grad returned
//
// Options of every optimizer:
//   lr            a number or a Schedule (optim/schedule.hpp) of the steps done so far
//   weight_decay  at least 0
//   clip_norm     limits the norm of all gradients together, as clip_by_global_norm does (optim/clip.hpp)
//   clip_value    then limits each element to [-clip_value, clip_value]
//   groups        parts of the model with their own settings, see ParamGroup
// Clipping does not change the gradients that you see. A setting that is not allowed throws ValueError.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "voxgrad/framework/nn/fields.hpp"
#include "voxgrad/framework/nn/state.hpp"
#include "voxgrad/framework/transforms/grad.hpp"
#include "voxgrad/optim/fused_step.hpp"
#include "voxgrad/optim/schedule.hpp"

namespace vg {

/// Settings for the parameters whose path, or path and leaf ("head.weight.bias"), matches `path` (path_fits: "head",
/// "layers.*.norm", "**.bias"), and whose leaf is `leaf`. Either may be left out. If several groups match, the longest
/// path wins, then the group with a leaf:
///   .groups = {{.path = "head", .lr_scale = 0.1}, {.leaf = "bias", .weight_decay = 0.0}}
struct ParamGroup {
  std::string path{};
  std::string leaf{};
  std::optional<Schedule> lr{};  ///< replaces the optimizer's
  double lr_scale = 1.0;         ///< multiplies the rate; at least 0
  std::optional<double> weight_decay{};

  void fields(Fields& f);
};

/// One leaf's part of a step, the argument of update_leaf().
struct LeafUpdate {
  Tensor& value;                 ///< the loop changes it in place
  const Tensor& grad;            ///< has the same shape and dtype; not clipped yet
  std::vector<Tensor>& moments;  ///< in the order of moments(); changed in place
  std::vector<double>& scalars;  ///< in the order of scalars(); changed in place
  std::int64_t updates;          ///< the number of updates of this leaf, including this one
  double lr;
  double weight_decay;
  std::optional<double> momentum;  ///< the schedule's, if it sets one
  double clip_scale;               ///< multiply the gradient by this,
  double clip_value;               ///< then limit it to this (infinity: no limit)
};

/// The name of a tensor or number that an optimizer keeps per leaf, and its value before the leaf's first update.
struct SlotSpec {
  std::string name;
  double start = 0.0;
};

/// The schedules and the groups in an optimizer's list of fields. They have lists of their own, which are checked and
/// stored by themselves; this one only names them.
void field(Fields& f, std::string_view name, Schedule& lr);
void field(Fields& f, std::string_view name, std::vector<ParamGroup>& groups);

class Optimizer : public Stateful {
 public:
  /// Steps with each parameter's grad(). A parameter without a gradient is skipped and its moments stay, as in torch. A
  /// frozen parameter is skipped and its moments are dropped: once unfrozen, it starts as with a new optimizer. Values
  /// change in place; if a graph or another tensor still uses the old value, a copy is made and changed instead. Throws
  /// ValueError, having changed nothing, if a parameter's dtype or shape differs from its moments', if a user-defined
  /// schedule returns an invalid rate, if the model has modules that compute differently in training (Dropout,
  /// BatchNorm) and none was ever in training mode, or if a layer was built after the optimizer was made.
  void step();
  /// Steps with gradients by path and leaf; parameters without a defined gradient are skipped. Throws ValueError for a
  /// path or leaf that the optimizer does not have, and for a gradient whose shape or dtype differs from its
  /// parameter's.
  void update(const StateGrads& grads);
  void zero_grad();

  /// The learning rate of the next step: of parameters to which no group applies, or of one leaf.
  double lr() const;
  double lr(std::string_view path, std::string_view leaf) const;
  /// The momentum (or first beta) of the next step, if the schedule sets one.
  std::optional<double> scheduled_momentum() const;
  /// The number of steps done.
  std::int64_t steps() const { return steps_; }
  /// "SGD", "Adam", ...
  const std::string& kind() const { return kind_; }

  /// The values kind and steps; parts: settings (including the schedules'), schedules (the states of those that have
  /// one), moments (path -> leaf -> updates, scalars, and tensors, shared with the optimizer until its next step).
  StateDict save_state() const override;
  /// The problems of a saved state, one line each: a different kind or settings, and every leaf that is missing,
  /// unexpected, or of another shape or dtype.
  std::vector<std::string> check_state(const StateDict& state) const override;
  /// Continues from the saved optimizer's state, bit for bit. Throws IoError, having changed nothing, if it does not
  /// fit.
  void load_state(const StateDict& state) override;
  /// Lets load_state() load the moments and the step count of an optimizer with other settings. The settings of this
  /// one stay, and so does a schedule's state if the saved one belongs to another schedule.
  void allow_other_settings(bool on = true) { other_settings_ = on; }

 protected:
  struct Common {
    Schedule lr;
    double weight_decay;
    std::optional<double> clip_norm, clip_value;
    std::vector<ParamGroup> groups;
  };
  /// Frozen parameters are included, because they may be unfrozen later. Throws ValueError for invalid settings, no
  /// parameters, a state that is not a ParamState, a repeated path, and a group that matches no parameter. A state with
  /// two paths is updated once, under the first.
  Optimizer(std::string kind, const States& states, Common common);

  /// The settings that are single values, which must agree with a checkpoint's.
  virtual Attributes stored_options() const = 0;
  /// The tensors that it keeps per leaf, in the leaf's shape and dtype.
  virtual std::vector<SlotSpec> moments() const = 0;
  /// The single numbers that it keeps per leaf.
  virtual std::vector<SlotSpec> scalars() const { return {}; }
  /// The loop that updates a leaf; the loops of all leaves run as one FusedStep (optim/fused.hpp helps to write one).
  /// It changes u.scalars; the tensors are left to the loop. Must not throw, because another leaf's scalars may have
  /// changed.
  virtual ParamLoop update_leaf(const LeafUpdate& u) const = 0;
  /// The loop of a second FusedStep, for a leaf whose first loop returned LeafSums. They are already added up, in an
  /// order that does not depend on the number of threads.
  virtual ParamLoop finish_leaf(const LeafUpdate&, const LeafSums&) const { return {}; }
  /// Whether a schedule sets the momentum.
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
  void check_groups() const;
  void require_trainable();
  void check_gradient(const Slot& slot, const Tensor& grad) const;
  Rates rates(int group) const;
  std::vector<Tensor> grads_of_slots() const;
  /// Steps with scale * grads.
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
      slot_of_;  // by path and leaf; includes further paths of a state
  std::int64_t steps_ = 0;
  bool other_settings_ = false;
  std::vector<States::ModeOf> modes_;                    // cleared once one was in training mode
  std::vector<std::pair<std::string, State>> leafless_;  // states without parameters when the optimizer was made

  // Workspace of a step, by slot; kept to reuse its memory.
  std::vector<Tensor*> values_;
  detail::FusedStep pass_;
};

/// An optimizer with options O: it keeps the aggregate, whose list of members (framework/nn/fields.hpp) checks and
/// stores it.
template <class O>
class OptimizerWith : public Optimizer {
 protected:
  OptimizerWith(std::string kind, const States& states, O options)
      : Optimizer(kind, states, (check_fields(kind, options), common_of(options))), options_(std::move(options)) {}

  O options_;

 private:
  static Common common_of(const O& o) { return {o.lr, o.weight_decay, o.clip_norm, o.clip_value, o.groups}; }
  Attributes stored_options() const final { return saved_fields(options_); }
};

/// The end of an optimizer's list of fields: those that every optimizer has.
template <class O>
void common_fields(Fields& f, O& o) {
  f("clip_norm", o.clip_norm, finite_above_0);
  f("clip_value", o.clip_value, finite_above_0);
  f("groups", o.groups);
}

}  // namespace vg
