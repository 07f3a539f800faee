// The reverse pass: Variable::backward() and gradients().
#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>

#include "voxgrad/framework/autograd/node.hpp"
#include "voxgrad/framework/autograd/op_observer.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/op_guard.hpp"
#include "voxgrad/framework/ops/elementwise.hpp"

namespace vg {

namespace {

using NodeSet = std::unordered_set<const Node*>;

// The part of a graph between an output and the requested inputs.
struct Subgraph {
  NodeSet wanted;   // nodes from which an input can be reached
  NodeSet unfused;  // nodes whose unfused form is used, because a requested input is a value that they absorbed
};

// The node that a pass uses for n: n itself or its unfused form.
const Node& effective_node(const Node& n, bool create_graph, const NodeSet* unfused) {
  return n.unfused && (create_graph || (unfused && unfused->count(&n) != 0)) ? *n.unfused : n;
}

bool adds_in_place(const Variable& into, bool create_graph) {
  return into.defined() && !create_graph && into.unique() && into.is_leaf() && into.value().unique();
}

void accumulate(Variable& into, const Variable& grad, bool create_graph) {
  if (adds_in_place(into, create_graph))
    add_in_place(into.mutable_value(), grad.value());
  else
    into = into.defined() ? add(into, grad) : grad;
}

void check_gradient(const Node& node, const Variable& grad, std::size_t i) {
  const Node& input = *node.inputs[i].node;
  if (grad.shape() == input.shape && grad.dtype() == input.dtype) return;
  throw ValueError(fmt::format("[{}] vjp: the gradient of input {} is {}; must be {} as the input", node.op, i,
                               form(grad.dtype(), grad.shape()), form(input.dtype, input.shape)));
}

// The reverse pass, to all nodes that require a gradient or only to those of a subgraph. Collected gradients are stored
// here and not in the nodes, so passes may share nodes: a pass within a vjp (checkpointing), or one pass per thread
// over the same weights. With create_graph, unfused forms are used, so that recorded gradients depend on every value
// that a user can have a handle of.
class Engine {
 public:
  Engine(const Variable& root, Variable cotangent, bool retain, bool create, const Subgraph* subgraph)
      : retain_(retain || create),
        create_(create),
        wanted_(subgraph ? &subgraph->wanted : nullptr),
        unfused_(subgraph ? &subgraph->unfused : nullptr) {
    push(Node::of(root), std::move(cotangent));
  }

  // Calls finish(node, gradient) for each node reached, before the node's own vjp runs.
  template <class Finish>
  void run(Finish finish) {
    RecordingGuard scope(create_);
    while (!heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end(), Later());
      const std::shared_ptr<Node> node = std::move(heap_.back());
      heap_.pop_back();
      Variable grad = std::move(pending_.extract(node.get()).mapped());
      if (OpObserver* const observer = OpObserver::current())
        observer->on_gradient(make_variable({}, node, nullptr), node->id, grad);
      finish(node, grad);
      step(node, grad);
    }
  }

 private:
  struct Later {
    bool operator()(const std::shared_ptr<Node>& a, const std::shared_ptr<Node>& b) const { return a->id < b->id; }
  };

  void push(const std::shared_ptr<Node>& node, Variable grad) {
    const auto [at, is_new] = pending_.try_emplace(node.get());
    if (is_new) {
      at->second = std::move(grad);
      heap_.push_back(node);
      std::push_heap(heap_.begin(), heap_.end(), Later());
    } else {
      accumulate(at->second, grad, create_);
    }
  }

  bool wanted(const Node::Input& input) const {
    return needs_gradient(input) && (!wanted_ || wanted_->count(input.node.get()) != 0);
  }

  static Grads pull(const Node& node, const Node& self, const VjpContext& p) {
    const VjpGuard scope(node, self);
    const OpGuard op_scope(node.op);
    OpObserver* const observer = OpObserver::current();
    if (observer == nullptr) return node.vjp(p);
    struct End {
      OpObserver* told;
      ~End() { told->end_vjp(); }
    };
    observer->begin_vjp(node.op, node.id);
    const End end{observer};
    Grads grads = node.vjp(p);
    end.told->on_vjp_result(grads);
    return grads;
  }

  void step(const std::shared_ptr<Node>& self, Variable& grad) {
    const Node& node = effective_node(*self, create_, unfused_);
    if (self->consumed)
      throw ValueError(fmt::format(
          "[backward] the graph was freed by an earlier pass (at op {}); give that pass retain_graph", node.op));
    if (std::none_of(node.inputs.begin(), node.inputs.end(), [&](const auto& n) { return wanted(n); })) return;
    Node::assign(output_, self->output, self);
    Grads grads = pull(node, *self, VjpContext{grad, output_, node, wanted_});
    Node::assign(output_, {}, nullptr);
    if (grads.size() != node.inputs.size())
      throw ValueError(fmt::format("[{}] vjp: returned {} gradients; the op has {} inputs", node.op, grads.size(),
                                   node.inputs.size()));
    grad = {};
    for (std::size_t i = 0; i < grads.size(); ++i)
      if (grads[i].defined() && wanted(node.inputs[i])) check_gradient(node, grads[i], i);
    for (std::size_t i = 0; i < grads.size(); ++i)
      if (grads[i].defined() && wanted(node.inputs[i])) push(node.inputs[i].node, std::move(grads[i]));
    if (!retain_) {
      self->vjp = nullptr;
      self->unfused = nullptr;
      self->output = {};
      self->inputs.clear();
      self->consumed = true;
    }
  }

  std::vector<std::shared_ptr<Node>> heap_;
  std::unordered_map<const Node*, Variable> pending_;  // the gradients of the nodes in the heap, as far as collected
  Variable output_;  // the output for vjps: one handle for all ops, as long as no vjp keeps it
  bool retain_, create_;
  const NodeSet *wanted_, *unfused_;  // null: all nodes; none
};

}  // namespace

namespace {

Variable checked_cotangent(const Variable& output, const Variable& cotangent, std::string_view where) {
  if (!output.defined()) throw ValueError(fmt::format("[{}] output: the variable is undefined", where));
  if (!output.requires_grad())
    throw ValueError(fmt::format(
        "[{}] output: it depends on nothing that requires a gradient{}; compute it outside of vg::NoGradGuard, "
        "from parameters that are not frozen or a Variable(tensor, true), without detach() or value() on "
        "the way",
        where, recording() ? "" : " (vg::NoGradGuard is on here)"));
  if (!cotangent.defined()) {
    if (output.numel() != 1)
      throw ValueError(fmt::format("[{}] output: its shape is {}; without a cotangent it must have exactly one element",
                                   where, output.shape().str()));
    return Variable(Tensor::ones(output.shape(), output.dtype()));
  }
  if (cotangent.shape() != output.shape() || cotangent.dtype() != output.dtype())
    throw ValueError(fmt::format("[{}] cotangent: got {}; must be {} as the output", where,
                                 form(cotangent.dtype(), cotangent.shape()), form(output.dtype(), output.shape())));
  return cotangent;
}

// Whether n absorbed one of the targets, directly or through another absorbed value. Also true if an earlier pass has
// freed an absorbed value's node: that node is then part of the subgraph, which throws.
bool was_fused(const Node& n, const NodeSet& targets) {
  for (const Node* at = &n; at->unfused != nullptr;) {
    at = at->unfused->inputs[0].node.get();
    if (!needs_gradient(at)) return false;
    if (at->consumed || targets.count(at) != 0) return true;
  }
  return false;
}

Subgraph subgraph_between(const Variable& root, const std::vector<Variable>& inputs, bool create) {
  NodeSet targets;
  for (const Variable& v : inputs) targets.insert(Node::of(v).get());
  Subgraph subgraph;
  const auto inputs_of = [&](const Node* n) -> const auto& {
    return effective_node(*n, create, &subgraph.unfused).inputs;
  };
  const Node* first = Node::of(root).get();
  NodeSet seen{first};
  std::vector<const Node*> nodes{first};
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const Node* const node = nodes[i];
    if (node->consumed)
      throw ValueError(fmt::format(
          "[gradients] the graph was freed by an earlier pass (at op {}); give that pass retain_graph", node->op));
    if (was_fused(*node, targets)) subgraph.unfused.insert(node);
    for (const Node::Input& input : inputs_of(node))
      if (const Node* n = input.node.get(); needs_gradient(n) && seen.insert(n).second) nodes.push_back(n);
  }
  for (const Node* target : targets)
    if (seen.count(target) != 0) subgraph.wanted.insert(target);
  std::sort(nodes.begin(), nodes.end(), [](const Node* a, const Node* b) { return a->id < b->id; });
  for (const Node* n : nodes) {
    const auto& from = inputs_of(n);
    if (std::any_of(from.begin(), from.end(),
                    [&](const auto& input) { return subgraph.wanted.count(input.node.get()) != 0; }))
      subgraph.wanted.insert(n);
  }
  return subgraph;
}

}  // namespace

void Variable::backward(const BackwardOptions& options) const { backward(Variable{}, options); }

void Variable::backward(const Variable& cotangent, const BackwardOptions& options) const {
  Engine engine(*this, checked_cotangent(*this, cotangent, "backward"), options.retain_graph, options.create_graph,
                nullptr);
  // The leaves get their gradients at the end, so that an error before leaves every grad() unchanged.
  struct Leaf {
    std::shared_ptr<Node> node;
    Variable grad;  // of this pass, then the sum of all
    bool in_place = false;
  };
  std::vector<Leaf> leaves;
  engine.run([&](const std::shared_ptr<Node>& n, const Variable& grad) {
    if (n->inputs.empty() && !n->consumed) leaves.push_back({n, grad});
  });
  RecordingGuard scope(options.create_graph);
  // steps that may throw come first: lazy values, and sums that need memory
  for (Leaf& leaf : leaves) {
    leaf.in_place = adds_in_place(leaf.node->grad, options.create_graph);
    if (leaf.in_place)
      leaf.grad.value();
    else if (leaf.node->grad.defined())
      leaf.grad = add(leaf.node->grad, leaf.grad);
  }
  for (Leaf& leaf : leaves) {
    if (leaf.in_place)
      add_in_place(leaf.node->grad.mutable_value(), leaf.grad.value());
    else
      leaf.node->grad = std::move(leaf.grad);  // not held twice, so that the next pass may add in place
  }
}

std::vector<Variable> gradients(const Variable& output, const std::vector<Variable>& inputs,
                                const GradientsOptions& options) {
  return gradients(output, inputs, Variable{}, options);
}

std::vector<Variable> gradients(const Variable& output, const std::vector<Variable>& inputs, const Variable& cotangent,
                                const GradientsOptions& options) {
  Variable first = checked_cotangent(output, cotangent, "gradients");
  for (std::size_t i = 0; i < inputs.size(); ++i)
    if (!inputs[i].requires_grad())
      throw ValueError(fmt::format("[gradients] inputs: number {} does not require a gradient", i));
  const Subgraph subgraph = subgraph_between(output, inputs, options.create_graph);
  const NodeSet& wanted = subgraph.wanted;
  if (!options.allow_unused)
    for (std::size_t i = 0; i < inputs.size(); ++i)
      if (!wanted.count(Node::of(inputs[i]).get()))
        throw ValueError(
            fmt::format("[gradients] inputs: the output does not depend on number {}; pass allow_unused to get an "
                        "undefined gradient",
                        i));
  std::vector<Variable> found(inputs.size());
  if (!wanted.count(Node::of(output).get())) return found;
  Engine engine(output, std::move(first), options.retain_graph, options.create_graph, &subgraph);
  engine.run([&](const std::shared_ptr<Node>& n, const Variable& grad) {
    for (std::size_t i = 0; i < inputs.size(); ++i)
      if (Node::of(inputs[i]) == n) found[i] = grad;
  });
  for (std::size_t i = 0; i < inputs.size(); ++i)  // reached, but all gradients on the way were zero
    if (!found[i].defined() && wanted.count(Node::of(inputs[i]).get()))
      found[i] = Variable(Tensor::zeros(inputs[i].shape(), inputs[i].dtype()));
  return found;
}

}  // namespace vg
