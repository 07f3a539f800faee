// Variable: a tensor in a graph, and reverse-mode differentiation over the graph.
//
// An op computes its value and calls record(). Its vjp *returns* the gradients of the inputs that need one, written
// with ops on Variables, and the reverse pass adds them up. A gradient recorded with create_graph is therefore a graph
// like any other and can be differentiated again. The graph is visited and freed iteratively, so only memory limits its
// depth.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "voxgrad/framework/base/tensor.hpp"

namespace vg {

struct Node;
struct LazyValue;

/// Options of the reverse pass.
struct BackwardOptions {
  /// Keep the values that the ops saved, so that the same graph can be used again. Otherwise each op's saved values are
  /// freed as soon as its vjp has used them.
  bool retain_graph = false;
  /// Record the computation of the gradients, so that they can be differentiated. Implies retain_graph. The grad() of a
  /// leaf then refers to the leaf through its graph. A State drops such gradients with its leaves. A leaf of no State
  /// needs zero_grad() before its last handle is gone, or its memory is never freed. gradients() stores nothing in the
  /// leaves.
  bool create_graph = false;
};

/// A handle: copies refer to the same Variable. A default Variable holds nothing (defined() is false).
class Variable {
 public:
  Variable() = default;
  /// A constant, or, with requires_grad, a leaf whose gradient backward() accumulates. Throws TypeError for
  /// requires_grad on i32.
  Variable(const Tensor& value,
           bool requires_grad = false);  // NOLINT: implicit, so that a Tensor can be passed as a constant

  bool defined() const { return body_ != nullptr; }
  const Tensor& value() const;
  const Shape& shape() const;
  std::int64_t dim(int axis) const { return shape().at(axis); }
  int rank() const { return shape().rank(); }
  DType dtype() const;
  std::int64_t numel() const { return shape().numel(); }
  double item() const { return value().item(); }

  bool requires_grad() const;
  /// Whether no recorded op made it.
  bool is_leaf() const;
  /// The op that made it ("" for a leaf).
  std::string_view op() const;
  /// The gradient that backward() has accumulated for this leaf; undefined if there is none.
  const Variable& grad() const;
  void zero_grad();
  void set_grad(const Variable& grad);
  /// The same value outside the graph.
  Variable detach() const;

  /// Adds the gradient of this one-element Variable to the grad() of every leaf that it depends on. With `cotangent`,
  /// which may have any shape, it is the gradient of <this, cotangent>. Throws ValueError when nothing here requires a
  /// gradient, when an earlier pass freed the graph, or when the cotangent has another shape or dtype.
  void backward(const BackwardOptions& options = {}) const;
  void backward(const Variable& cotangent, const BackwardOptions& options = {}) const;

  /// Whether this handle is the only one, so that no other handle sees a change of the value in place.
  bool unique() const { return body_.use_count() == 1; }
  /// In-place access to a leaf. Throws ValueError for the result of an op.
  Tensor& mutable_value();

  /// Whether both are the same leaf, or results of the same op.
  bool is(const Variable& other) const;

 private:
  friend struct Node;
  struct Body {
    Tensor value;
    std::shared_ptr<Node> node;       // null for a constant
    std::shared_ptr<LazyValue> lazy;  // null unless the value is lazy (lazy.hpp)
  };
  std::shared_ptr<Body> body_;
  friend Variable make_variable(Tensor value, std::shared_ptr<Node> node, std::shared_ptr<LazyValue> lazy);
  friend std::shared_ptr<const struct LazyOp> lazy_op_of(const Variable& v);
  friend void materialize(const Variable& v, Tensor value);
  friend struct LazyValue;
};

/// The arguments of a vjp.
struct VjpContext {
  const Variable& grad;    ///< gradient of the output, of its shape
  const Variable& output;  ///< the output itself: use it here instead of capturing it, which would be a cycle;
                           ///< without a value if the op did not save it
  const Node& node;
  const std::unordered_set<const Node*>* wanted;  ///< null: all inputs that require a gradient
  /// Whether input i needs a gradient; for one that does not, return an undefined Variable.
  bool needs(std::size_t i) const;
};
using Grads = std::vector<Variable>;
using Vjp = std::function<Grads(const VjpContext&)>;

/// Makes the output of an op. If recording is on and an input requires a gradient, the output keeps the inputs and the
/// vjp (which may capture the inputs it needs); otherwise both are dropped here. `op` must be a string literal. The vjp
/// returns one gradient per input, in order, of that input's shape and dtype. An undefined gradient means zero:
/// gradients() then returns zeros, and backward() does not change grad().
///
/// A graph keeps the values that its vjps captured and, with SaveOutput::yes, the op's own output for
/// VjpContext::output. With SaveOutput::no the output is freed with its last Variable, which saves memory if the vjp
/// does not read it.
enum class SaveOutput { no, yes };
Variable record(std::string_view op, Tensor value, std::vector<Variable> inputs, Vjp vjp,
                SaveOutput save_output = SaveOutput::yes);

/// Whether record() would keep a vjp for these inputs. Ops that save extra data for the vjp check it first.
bool will_record(const std::vector<Variable>& inputs);

/// Gradients of `output` with respect to `inputs`, which may be any Variables of its graph. They are returned and not
/// added to grad(). `cotangent` is ones by default. Only the part of the graph between them is visited. If the output
/// does not depend on an input, ValueError is thrown, or, with allow_unused, that gradient is an undefined Variable.
struct GradientsOptions {
  bool retain_graph = false;
  bool create_graph = false;
  bool allow_unused = false;
};
std::vector<Variable> gradients(const Variable& output, const std::vector<Variable>& inputs,
                                const GradientsOptions& options = {});
std::vector<Variable> gradients(const Variable& output, const std::vector<Variable>& inputs, const Variable& cotangent,
                                const GradientsOptions& options = {});

/// Whether ops record in this thread now.
bool recording();
/// Turns recording on or off for a scope.
class RecordingGuard {
 public:
  explicit RecordingGuard(bool on);
  ~RecordingGuard();
  RecordingGuard(const RecordingGuard&) = delete;
  RecordingGuard& operator=(const RecordingGuard&) = delete;

 private:
  bool before_;
};
struct NoGradGuard : RecordingGuard {
  NoGradGuard() : RecordingGuard(false) {}
};
struct EnableGrad : RecordingGuard {
  EnableGrad() : RecordingGuard(true) {}
};

/// Whether ops of this thread may be lazy and fuse: false in a FusionGuard(false) and under a NanFinder.
bool fuses();
/// Turns fusion off (or on again) on this thread for a scope: every op then computes at its call.
class FusionGuard {
 public:
  explicit FusionGuard(bool on);
  ~FusionGuard();
  FusionGuard(const FusionGuard&) = delete;
  FusionGuard& operator=(const FusionGuard&) = delete;

 private:
  bool before_;
};

}  // namespace vg
