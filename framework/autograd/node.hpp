// Node: one op of the graph, or a leaf. record() creates nodes; the reverse pass (transforms/backward.cpp) visits them.
// Internal.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "voxgrad/framework/autograd/variable.hpp"

namespace vg {

/// One op of the graph, or a leaf, with the data that the reverse pass needs. It holds the op's value only if the vjp
/// reads it. Values live as long as their Variables, so a value that no vjp captured is freed during the forward pass.
/// Ids grow with creation, so every user of a node has a higher id, and a reverse pass in descending order of ids
/// visits all users of a node before the node itself.
struct Node {
  // An input of the op: its node (null for a constant), and the version of its content, which the vjp may read.
  // `memory` is only compared as an address; the vjp that reads the memory keeps it alive.
  struct Input {
    std::shared_ptr<Node> node;
    const Storage* memory = nullptr;  // null if the value is not computed yet
    std::uint32_t version = 0;
  };

  Variable grad;              // of a leaf, accumulated by backward()
  std::vector<Input> inputs;  // of the op that made the output
  Vjp vjp;
  std::shared_ptr<Node> unfused;  // the same op with the absorbed value as its first input (record_unfused)
  std::string_view op;
  Tensor output;  // defined if the vjp reads it
  std::uint32_t output_version = 0;
  Shape shape;
  DType dtype = f32;
  std::uint64_t id = 0;
  bool requires_grad = false;
  bool consumed = false;  // a reverse pass has freed the op's saved values
  Node* next_due = nullptr;

  static const std::shared_ptr<Node>& of(const Variable& v) { return v.body_->node; }
  /// Makes `handle` the output `value` of `node`, in place if it is the only handle. Without a node, the handle becomes
  /// undefined.
  static void assign(Variable& handle, const Tensor& value, const std::shared_ptr<Node>& node);
  static Input input(const Variable& v);
};

inline bool needs_gradient(const Node* node) { return node != nullptr && node->requires_grad; }
inline bool needs_gradient(const std::shared_ptr<Node>& node) { return needs_gradient(node.get()); }
inline bool needs_gradient(const Node::Input& input) { return needs_gradient(input.node.get()); }

/// An output of this node. `lazy` is null unless the value is lazy.
Variable make_variable(Tensor value, std::shared_ptr<Node> node, std::shared_ptr<LazyValue> lazy);

/// The op whose vjp runs on this thread, and the node of the result, which is another one if the op was fused.
class VjpGuard {
 public:
  VjpGuard(const Node& of_op, const Node& of_result) : op(of_op), result(of_result), before_(current_) {
    current_ = this;
  }
  ~VjpGuard() { current_ = before_; }
  VjpGuard(const VjpGuard&) = delete;
  VjpGuard& operator=(const VjpGuard&) = delete;
  /// Null outside of vjps.
  static const VjpGuard* current() { return current_; }

  const Node &op, &result;

 private:
  static inline thread_local const VjpGuard* current_ = nullptr;
  const VjpGuard* before_;
};

}  // namespace vg
