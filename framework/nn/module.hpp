// Module: a tree of states and submodules with one walk, visit(). Parameters, to, zero_grad, summary, save and load all
// derive from it. A module of your own:
//
//   struct Net : vg::Module {
//     vg::Conv3d conv{{.in_size = {8, 8, 8, 1}, .out_channels = 4, .kernel_size = 3}};
//     vg::Linear head{{.in_size = {4}, .out_features = 2}};
//     vg::Variable update(vg::Variable x) override { return head(vg::global_avg_pool3d(conv(x))); }
//     void visit(vg::Visitor& v) override { v("conv", conv); v("head", head); }
//   };
//
// A module with several inputs or outputs is a MultiModule (below). A module can be moved, not copied: vg::clone
// (layers/registry/clone.hpp) makes a second one with its own states.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/nn/description.hpp"
#include "voxgrad/framework/nn/state.hpp"
#include "voxgrad/framework/ops/fusion.hpp"

namespace vg {

class Module;

/// Several inputs or outputs of a module.
using Variables = std::vector<Variable>;

/// Is notified of every call of the modules that it is set on.
class ModuleObserver {
 public:
  virtual ~ModuleObserver() = default;
  virtual void before(const Module&) {}
  virtual void after(const Module&, std::span<const Variable> outputs) = 0;
  /// Called in place of after() if the call throws.
  virtual void failed(const Module&) noexcept {}
};

/// Receives the states and submodules that a module names.
class Visitor {
 public:
  virtual ~Visitor() = default;
  virtual void state(std::string_view name, State& state) = 0;
  virtual void module(std::string_view name, Module& module) = 0;
  /// A module that a pointer holds, which a visitor may replace (vg::clone).
  virtual void held(std::string_view name, std::shared_ptr<Module>& m) { module(name, *m); }

  void operator()(std::string_view name, State& s) { state(name, s); }
  void operator()(std::string_view name, Module& m) { module(name, m); }
  template <class M>
  void operator()(std::string_view name, const std::shared_ptr<M>& m) {
    if (m) (*this)(name, *m);
  }
  template <class M>
  void operator()(std::string_view name, std::shared_ptr<M>& m) {
    if (!m) return;
    std::shared_ptr<Module> now = m;
    held(name, now);
    if (now != m) m = std::dynamic_pointer_cast<M>(now);
  }
  template <class M>
  void operator()(std::string_view name, std::optional<M>& m) {
    if (m) (*this)(name, *m);
  }
  /// Elements are named "name.0", "name.1", ...
  template <class M>
  void operator()(std::string_view name, std::vector<M>& ms) {
    for (std::size_t i = 0; i < ms.size(); ++i) (*this)(std::string(name) + "." + std::to_string(i), ms[i]);
  }
};

/// An exception of voxgrad that is thrown within a call names the module: "in layers.6 (Conv3d): [conv3d] ...".
class Module {
 public:
  Module() = default;
  /// Only for vg::clone; elsewhere it throws ValueError, because the copy would share its states with the original.
  Module(const Module& other);
  Module& operator=(const Module&) = delete;
  Module(Module&&) = default;
  Module& operator=(Module&&) = default;
  virtual ~Module() = default;

  /// Calls update(). In training mode, calling a submodule that visit() does not name is a
  /// ValueError if the submodule has trainable states or a training mode.
  Variable operator()(Variable x);
  /// For several inputs or outputs: calls update_all(). For a module with one of each, it is the same as (*this)(x).
  Variables call(Variables inputs);
  /// Computes the output. x may be the last handle of its value: a layer that moves it into an op donates it, which
  /// saves a pass over memory where the op can fuse it (docs/fusion.md).
  virtual Variable update(Variable x) = 0;
  /// Computes call(). Unless overridden (MultiModule), it is update() of the one input; ValueError for another number.
  virtual Variables update_all(Variables inputs);
  /// Names every state and submodule, always in the same order.
  virtual void visit(Visitor&) {}
  /// "Conv3d"; for a module of your own, any name. A module that is saved must have one.
  virtual std::string kind() const { return "Module"; }
  /// The options that the module was made with, by name.
  virtual Attributes options() const { return {}; }
  /// Whether update() depends on training(), as in Dropout and BatchNorm. An optimizer's step() then throws ValueError
  /// if the module was never in training mode.
  virtual bool has_training_mode() const { return false; }
  /// The op that is all of update(), if Sequential may run the module in another order than written (docs/fusion.md).
  virtual fusion::Op fusion_op() const { return fusion::Op::none; }

  /// Extents of one sample, channels last, without the batch axis; empty if not fixed. An extent may be vg::dynamic.
  const std::vector<std::int64_t>& in_size() const { return in_size_; }
  const std::vector<std::int64_t>& out_size() const { return out_size_; }
  /// Sets the input size of a layer that was made without in_size. Sequential calls it with the previous layer's
  /// out_size. A layer whose sizes are set already checks that they fit (ValueError).
  virtual void build(const std::vector<std::int64_t>& in_size);

  /// All states by dotted path; each is listed once, even if several paths lead to it. They are handles: a State of a
  /// const module can be written to, as the target of a const pointer can. Throws ValueError, naming the path, for a
  /// state that was moved from.
  States states() const;
  States states(StateKind kind) const { return states().filter(kind); }
  States parameters() const { return states(StateKind::param); }
  void zero_grad();
  /// Converts every floating state to f32 or f64.
  void to(DType dtype);
  /// Sets training or evaluation mode (Dropout, BatchNorm) for the whole tree. New modules are in evaluation mode, as
  /// in brainstate.
  void train(bool on = true);
  void eval() { train(false); }
  bool training() const { return training_; }

  /// Freezes all parameters and running statistics of the tree (State::freeze): no gradient is computed for them, no
  /// optimizer changes them, and a BatchNorm with frozen statistics normalises by them in training mode too.
  /// Checkpoints also store frozen states. Call it after the model is built.
  void freeze();
  void unfreeze();
  /// The same for states whose path, or path and leaf ("conv.weight.bias"), fits `pattern` (path_fits), as in the
  /// optimizers' groups: freeze("encoder"), freeze("layers.*.weight"), freeze("**.bias"). A ValueError if none fits.
  void freeze(std::string_view pattern);
  void unfreeze(std::string_view pattern);

  /// Sets the observer of all calls in this tree (nullptr for none), which must outlive its use. summary() uses it.
  void observe(ModuleObserver* observer);
  /// Kind, options and children of the whole tree. Throws ValueError, naming the path, for a module that visits itself.
  ModuleConfig description() const;
  /// A table of path, kind, output shape, parameters (and how many are frozen), multiply-adds and memory of the output,
  /// from one evaluation on zeros of shape `input` (with the batch axis) in the model's dtype. With parameters, also
  /// step_bytes().
  std::string summary(const Shape& input) const { return summary(std::vector<Shape>{input}); }
  /// The same for a module with several inputs.
  std::string summary(const std::vector<Shape>& inputs) const;
  /// The maximum number of bytes that a training step on such an input holds at once, from forward to the last
  /// gradient: the input, the parameters, their gradients, the values kept for the reverse pass, workspaces; without an
  /// optimizer's moments. It is predicted from steps on one and on two samples of zeros (it grows linearly with the
  /// batch), which leave no trace. 0 if nothing is trained.
  std::int64_t step_bytes(const Shape& input) const { return step_bytes(std::vector<Shape>{input}); }
  std::int64_t step_bytes(const std::vector<Shape>& inputs) const;

 protected:
  void set_sizes(std::vector<std::int64_t> in, std::vector<std::int64_t> out) {
    in_size_ = std::move(in);
    out_size_ = std::move(out);
  }
  /// Whether an observer is set. Calls must then run as they are written.
  bool observed() const { return observer_ != nullptr; }

 private:
  friend class FitGuard;
  friend class NanFinder;
  class Call;
  template <class F>
  auto called(F&& f);
  void locate(Error& error) noexcept;
  void check_named(const Call* outer);
  void freeze_those(std::string_view what, std::string_view pattern, bool on);
  std::shared_ptr<bool> trained_once();

  std::vector<std::int64_t> in_size_, out_size_;
  bool training_ = false;
  ModuleObserver* observer_ = nullptr;
  std::shared_ptr<bool> trained_once_;  // null: it was never in training mode, and no States share it
  const Module* named_by_ = nullptr;    // the caller for which check_named() has found that visit() names it
};

/// A module with several inputs or outputs, called by call(): a VAE, a net with deep supervision or with a condition.
///
///   struct Film : vg::MultiModule {
///     vg::Variables update_all(vg::Variables in) override { return {conv(in[0]) * scale(in[1])}; }
///     ...
///   };
///   vg::Variable y = film.call({image, age})[0];
class MultiModule : public Module {
 public:
  Variables update_all(Variables inputs) override = 0;
  /// For one input and one output. Throws ValueError if update_all() returns another number.
  Variable update(Variable x) override;
};

namespace detail {

/// The module for a walk that changes nothing, or puts back what it changes: visit() and update() are not const.
inline Module& visited(const Module& module) { return const_cast<Module&>(module); }

/// Lets this thread copy modules. The copies share their states with the originals until they get their own.
class CopyingModules {
 public:
  CopyingModules();
  ~CopyingModules();
  CopyingModules(const CopyingModules&) = delete;
  CopyingModules& operator=(const CopyingModules&) = delete;

 private:
  bool before_;
};

}  // namespace detail

/// An extent that is not fixed.
inline constexpr std::int64_t dynamic = -1;

/// Training (or evaluation) mode for a scope. The destructor restores the previous mode of each module of the tree; the
/// modules must still exist. brainstate's `fit`.
class FitGuard {
 public:
  explicit FitGuard(Module& module, bool fit = true);
  ~FitGuard();
  FitGuard(const FitGuard&) = delete;
  FitGuard& operator=(const FitGuard&) = delete;

 private:
  std::vector<std::pair<Module*, bool>> before_;
};

}  // namespace vg
