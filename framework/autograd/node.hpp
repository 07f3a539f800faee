// Node: one op of the graph, or a leaf. What record() makes and the reverse pass (transforms/backward.cpp) walks.
// Internal.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "voxgrad/framework/autograd/variable.hpp"

namespace vg {

/// One op of the graph, or a leaf: what the reverse pass needs. It does not hold the op's value, unless the vjp reads
/// it: values live as long as their Variables, so what no vjp captured is freed in the middle of a forward pass. Ids
/// grow with creation, so every user of a node has a higher id than it: walking in falling order of ids meets all users
/// before the node itself.
struct Node {
  // An input of the op: its node (null for a constant), and the content that its value had, which the vjp may read.
  // The memory is compared by address only; who reads it holds it.
  struct Input {
    std::shared_ptr<Node> node;
    const Storage* memory = nullptr;  // null where the value is not computed yet
    std::uint32_t version = 0;
  };

  Variable grad;              // of a leaf, added up by backward()
  std::vector<Input> inputs;  // of the op that made it
  Vjp vjp;
  std::shared_ptr<Node> unfused;  // the same op with what it took in as its first input (record_unfused)
  std::string_view op;
  Tensor output;  // where the vjp reads it
  std::uint32_t output_version = 0;
  Shape shape;
  DType dtype = f32;
  std::uint64_t id = 0;
  bool requires_grad = false;
  bool consumed = false;  // a walk has freed what the op saved
  Node* next_due = nullptr;

  static const std::shared_ptr<Node>& of(const Variable& v) { return v.body_->node; }
  /// Makes `handle` the output `value` of `node`, in place where it is the only handle; without a node, a handle of
  /// nothing.
  static void assign(Variable& handle, const Tensor& value, const std::shared_ptr<Node>& node);
  static Input input(const Variable& v);
};

inline bool needs_gradient(const Node* node) { return node != nullptr && node->requires_grad; }
inline bool needs_gradient(const std::shared_ptr<Node>& node) { return needs_gradient(node.get()); }
inline bool needs_gradient(const Node::Input& input) { return needs_gradient(input.node.get()); }

/// An output of this node. `lazy`: null unless the value is lazy.
Variable make_variable(Tensor value, std::shared_ptr<Node> node, std::shared_ptr<LazyValue> lazy);

/// While a vjp runs on this thread: of which op, and of which node the result is (another one where the op was fused).
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
