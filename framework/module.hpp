// Module: a tree of states and submodules with one walk, visit(). Parameters, to, zero_grad, summary, save and load all
// derive from it. A module of your own:
//
//   struct Net : vg::Module {
//     vg::Conv3d conv{{.in_size = {8, 8, 8, 1}, .out_channels = 4, .kernel_size = 3}};
//     vg::Linear head{{.in_size = {4}, .out_features = 2}};
//     vg::Variable update(const vg::Variable& x) override { return head(vg::global_avg_pool3d(conv(x))); }
//     void visit(vg::Visitor& v) override { v("conv", conv); v("head", head); }
//   };
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "framework/description.hpp"
#include "framework/state.hpp"

namespace vg {

class Module;

/// Is told of every call of the modules that it was set on.
class ModuleObserver {
 public:
  virtual ~ModuleObserver() = default;
  virtual void before(const Module&) {}
  virtual void after(const Module&, const Variable& output) = 0;
  /// In place of after(), when the call throws.
  virtual void failed(const Module&) noexcept {}
};

/// Receives the states and submodules that a module names.
class Visitor {
 public:
  virtual ~Visitor() = default;
  virtual void state(std::string_view name, State& state) = 0;
  virtual void module(std::string_view name, Module& module) = 0;

  void operator()(std::string_view name, State& s) { state(name, s); }
  void operator()(std::string_view name, Module& m) { module(name, m); }
  template <class M>
  void operator()(std::string_view name, const std::shared_ptr<M>& m) {
    if (m) (*this)(name, *m);
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

class Module {
 public:
  Module() = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;
  Module(Module&&) = default;
  Module& operator=(Module&&) = default;
  virtual ~Module() = default;

  /// Calls update(), by way of update_last().
  Variable operator()(Variable x);
  virtual Variable update(const Variable& x) = 0;
  /// The same, of an x that may be the last handle of its value: for layers that save a pass over memory when it is.
  virtual Variable update_last(Variable x) { return update(x); }
  /// Names every state and submodule, always in the same order.
  virtual void visit(Visitor&) {}
  /// "Conv3d"; for a module of your own, any name.
  virtual std::string kind() const { return "Module"; }
  /// The options it was made with, by name.
  virtual Values options() const { return {}; }

  /// Extents of one sample, channels last, without the batch axis; empty when not fixed. An extent may be vg::any.
  const std::vector<std::int64_t>& in_size() const { return in_size_; }
  const std::vector<std::int64_t>& out_size() const { return out_size_; }
  /// Tells a layer that was made without in_size what comes in; Sequential calls it with the layer before's out_size. A
  /// layer whose sizes are known checks that they fit (ValueError).
  virtual void build(const std::vector<std::int64_t>& in_size);

  /// All states by dotted path, each once however often it is reachable.
  States states();
  States states(StateKind kind) { return states().filter(kind); }
  States parameters() { return states(StateKind::param); }
  void zero_grad();
  /// Converts every floating state to f32 or f64.
  void to(DType dtype);
  /// Training or evaluation (Dropout, BatchNorm), for the whole tree. New modules are in evaluation mode, as in
  /// brainstate.
  void train(bool on = true);
  void eval() { train(false); }
  bool training() const { return training_; }

  /// Sets who is told of the calls in this tree (nullptr: nobody). Summary uses it; the observer must outlive its use.
  void observe(ModuleObserver* observer);
  /// Kind, options and children of the whole tree.
  Description description();
  /// A table: path, kind, output shape, parameters, multiply-adds, memory of the output; from one evaluation on zeros
  /// of shape `input` (with the batch axis), in the model's dtype. With parameters, also step_bytes().
  std::string summary(const Shape& input);
  /// The most bytes that a training step on such an input holds at once, from forward to the last gradient: the input,
  /// the parameters, their gradients, what is kept for the reverse pass, workspaces; without an optimizer's moments.
  /// Predicted from steps on one and on two samples of zeros (for it grows with the batch evenly), which leave no
  /// trace. 0 when nothing is trained.
  std::int64_t step_bytes(const Shape& input);

 protected:
  void set_sizes(std::vector<std::int64_t> in, std::vector<std::int64_t> out) {
    in_size_ = std::move(in);
    out_size_ = std::move(out);
  }
  /// Whether somebody is told of its calls, which should be as they are written then.
  bool observed() const { return observer_ != nullptr; }

 private:
  friend class FitScope;
  friend class NanFinder;
  std::vector<std::int64_t> in_size_, out_size_;
  bool training_ = false;
  ModuleObserver* observer_ = nullptr;
};

/// An extent that is not fixed.
inline constexpr std::int64_t any = -1;

/// Training mode (or evaluation) for a scope; afterwards each module of the tree, which must still be there, is in its
/// own mode of before. brainstate's `fit`.
class FitScope {
 public:
  explicit FitScope(Module& module, bool fit = true);
  ~FitScope();
  FitScope(const FitScope&) = delete;
  FitScope& operator=(const FitScope&) = delete;

 private:
  std::vector<std::pair<Module*, bool>> before_;
};

}  // namespace vg
