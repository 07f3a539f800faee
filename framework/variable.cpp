#include "framework/variable.hpp"

#include <algorithm>
#include <atomic>
#include <queue>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>

#include "framework/error.hpp"
#include "framework/op_watch.hpp"
#include "framework/ops/elementwise.hpp"

namespace vg {

// One value of the graph. Ids grow with creation, so every user of a node has a higher id than it: walking in falling
// order of ids meets all users before the node itself.
struct Node {
  Tensor value;
  Variable grad;                 // of a leaf, added up by backward()
  std::vector<Variable> inputs;  // of the op that made it
  Vjp vjp;
  std::string_view op;
  std::uint64_t id = 0;
  bool requires_grad = false;
  bool consumed = false;  // a walk has freed what the op saved
  Node* next_due = nullptr;

  static const std::shared_ptr<Node>& of(const Variable& v) { return v.node_; }
};

namespace {

std::uint64_t next_id() {
  static std::atomic<std::uint64_t> id{0};
  return id.fetch_add(1, std::memory_order_relaxed);
}

// A node's destruction releases its inputs, whose destruction releases theirs: as recursion that overflows the stack at
// a depth of some 10^4. Nodes that are due while one is being destroyed wait in this list instead. It is linked through
// the nodes and so needs no destructor: variables with static storage die after a thread's own objects.
struct Reaper {
  void operator()(Node* node) const {
    thread_local Node* due = nullptr;
    thread_local bool draining = false;
    node->next_due = due;
    due = node;
    if (draining) return;
    draining = true;
    while (due != nullptr) {
      Node* n = due;
      due = n->next_due;
      delete n;
    }
    draining = false;
  }
};

std::shared_ptr<Node> make_node(Tensor value) {
  auto node = std::shared_ptr<Node>(new Node, Reaper{});
  node->value = std::move(value);
  node->id = next_id();
  return node;
}

thread_local bool recording_on = true;
thread_local OpWatch* watch = nullptr;

using NodeSet = std::unordered_set<const Node*>;

void accumulate(Variable& into, const Variable& grad, bool create_graph) {
  if (!into.defined())
    into = grad;
  else if (!create_graph && into.unique() && into.is_leaf() && into.value().unique())
    add_in_place(into.mutable_value(), grad.value());
  else
    into = add(into, grad);
}

void check_gradient(const Node& node, const Variable& grad, std::size_t i) {
  const Tensor& input = node.inputs[i].value();
  if (grad.shape() == input.shape() && grad.dtype() == input.dtype()) return;
  throw ValueError(fmt::format("[{}] vjp: the gradient of input {} is {} {}; must be {} {} as the input", node.op, i,
                               name_of(grad.dtype()), grad.shape().str(), name_of(input.dtype()), input.shape().str()));
}

}  // namespace

Variable make_recorded(std::shared_ptr<Node> node) { return Variable(std::move(node)); }

// The reverse pass: to every node that requires a gradient, or only to those of `wanted`. What a pass has collected is
// kept here and not in the nodes, so passes may share nodes: one within a vjp (checkpointing), or one a thread over the
// same weights.
class Engine {
 public:
  Engine(const Variable& root, Variable seed, bool retain, bool create, const NodeSet* wanted)
      : retain_(retain || create), create_(create), wanted_(wanted) {
    push(root.node_, std::move(seed));
  }

  // Calls finish(node, gradient) for each node reached, before its own vjp runs.
  template <class Finish>
  void run(Finish finish) {
    RecordingScope scope(create_);
    while (!heap_.empty()) {
      std::shared_ptr<Node> node = heap_.top();
      heap_.pop();
      Variable grad = std::move(pending_.extract(node.get()).mapped());
      if (watch != nullptr) watch->collected(Variable(node), node->id, grad);
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
      heap_.push(node);
    } else {
      accumulate(at->second, grad, create_);
    }
  }

  bool wanted(const Variable& v) const { return wanted_ ? wanted_->count(v.node_.get()) != 0 : v.requires_grad(); }

  static Grads pull(const Node& node, const Pull& p) {
    if (watch == nullptr) return node.vjp(p);
    struct End {
      OpWatch* told;
      ~End() { told->end_vjp(); }
    };
    watch->begin_vjp(node.op, node.id);
    const End end{watch};
    Grads grads = node.vjp(p);
    end.told->returned(grads);
    return grads;
  }

  void step(const std::shared_ptr<Node>& self, Variable& grad) {
    Node& node = *self;
    if (node.consumed)
      throw ValueError(fmt::format(
          "[backward] the graph was freed by an earlier pass (at op {}); give that pass retain_graph", node.op));
    if (std::none_of(node.inputs.begin(), node.inputs.end(), [&](const Variable& v) { return wanted(v); })) return;
    const Variable output{self};
    Grads grads = pull(node, Pull{grad, output, node, wanted_});
    if (grads.size() != node.inputs.size())
      throw ValueError(fmt::format("[{}] vjp: returned {} gradients; the op has {} inputs", node.op, grads.size(),
                                   node.inputs.size()));
    grad = {};
    for (std::size_t i = 0; i < grads.size(); ++i)
      if (grads[i].defined() && wanted(node.inputs[i])) check_gradient(node, grads[i], i);
    for (std::size_t i = 0; i < grads.size(); ++i)
      if (grads[i].defined() && wanted(node.inputs[i])) push(node.inputs[i].node_, std::move(grads[i]));
    if (!retain_) {
      node.vjp = nullptr;
      node.inputs.clear();
      node.consumed = true;
    }
  }

  std::priority_queue<std::shared_ptr<Node>, std::vector<std::shared_ptr<Node>>, Later> heap_;
  std::unordered_map<const Node*, Variable> pending_;  // the gradients of what is in the heap, as far as collected
  bool retain_, create_;
  const NodeSet* wanted_;
};

Variable::Variable(const Tensor& value, bool requires_grad) {
  if (!value.defined()) return;
  if (requires_grad && !is_float(value.dtype()))
    throw TypeError("[Variable] requires_grad: got an i32 tensor; must be f32 or f64");
  node_ = make_node(value);
  node_->requires_grad = requires_grad;
}

const Tensor& Variable::value() const {
  if (!node_) throw ValueError("[Variable] value(): the variable is undefined");
  return node_->value;
}

bool Variable::requires_grad() const { return node_ && node_->requires_grad; }
bool Variable::is_leaf() const { return !node_ || (node_->inputs.empty() && !node_->consumed); }
std::string_view Variable::op() const { return node_ ? node_->op : std::string_view{}; }

const Variable& Variable::grad() const {
  static const Variable none;
  return node_ ? node_->grad : none;
}
void Variable::zero_grad() {
  if (node_) node_->grad = {};
}
void Variable::set_grad(const Variable& grad) {
  if (!node_) throw ValueError("[Variable] set_grad: the variable is undefined");
  if (grad.defined() && (grad.shape() != shape() || grad.dtype() != dtype()))
    throw ValueError(fmt::format("[Variable] set_grad: got {} {}; must be {} {}", name_of(grad.dtype()),
                                 grad.shape().str(), name_of(dtype()), shape().str()));
  node_->grad = grad;
}

Variable Variable::detach() const { return node_ ? Variable(node_->value) : Variable(); }

Tensor& Variable::mutable_value() {
  if (!is_leaf())
    throw ValueError(fmt::format("[Variable] mutable_value(): the result of op {} must not be changed in place", op()));
  if (!node_) throw ValueError("[Variable] mutable_value(): the variable is undefined");
  return node_->value;
}

bool Pull::needs(std::size_t i) const {
  const Node& input = *Node::of(node.inputs[i]);
  return wanted ? wanted->count(&input) != 0 : input.requires_grad;
}

bool will_record(const std::vector<Variable>& inputs) {
  return recording_on && std::any_of(inputs.begin(), inputs.end(), [](const Variable& v) { return v.requires_grad(); });
}

Variable record(std::string_view op, Tensor value, std::vector<Variable> inputs, Vjp vjp) {
  if (!will_record(inputs)) {
    if (watch != nullptr) watch->made(op, value, inputs, 0);
    return Variable(value);
  }
  auto node = make_node(std::move(value));
  node->requires_grad = true;
  node->op = op;
  node->inputs = std::move(inputs);
  node->vjp = std::move(vjp);
  if (watch != nullptr) watch->made(op, node->value, node->inputs, node->id);
  return make_recorded(std::move(node));
}

OpWatch* set_op_watch(OpWatch* next) { return std::exchange(watch, next); }

namespace {

Variable checked_seed(const Variable& output, const Variable& seed, std::string_view where) {
  if (!output.defined() || !output.requires_grad())
    throw ValueError(fmt::format("[{}] output: it depends on nothing that requires a gradient", where));
  if (!seed.defined()) {
    if (output.numel() != 1)
      throw ValueError(fmt::format("[{}] output: its shape is {}; without a seed it must have exactly one element",
                                   where, output.shape().str()));
    return Variable(Tensor::ones(output.shape(), output.dtype()));
  }
  if (seed.shape() != output.shape() || seed.dtype() != output.dtype())
    throw ValueError(fmt::format("[{}] seed: got {} {}; must be {} {} as the output", where, name_of(seed.dtype()),
                                 seed.shape().str(), name_of(output.dtype()), output.shape().str()));
  return seed;
}

// The nodes from which an input asked for can be reached.
NodeSet nodes_towards(const Variable& root, const std::vector<Variable>& inputs) {
  const Node* first = Node::of(root).get();
  NodeSet seen{first}, found;
  std::vector<const Node*> nodes{first};
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (nodes[i]->consumed)
      throw ValueError(fmt::format(
          "[gradients] the graph was freed by an earlier pass (at op {}); give that pass retain_graph", nodes[i]->op));
    for (const Variable& v : nodes[i]->inputs)
      if (const Node* n = Node::of(v).get(); n->requires_grad && seen.insert(n).second) nodes.push_back(n);
  }
  for (const Variable& v : inputs)
    if (seen.count(Node::of(v).get())) found.insert(Node::of(v).get());
  std::sort(nodes.begin(), nodes.end(), [](const Node* a, const Node* b) { return a->id < b->id; });
  for (const Node* n : nodes)
    if (std::any_of(n->inputs.begin(), n->inputs.end(),
                    [&](const Variable& v) { return found.count(Node::of(v).get()) != 0; }))
      found.insert(n);
  return found;
}

}  // namespace

void Variable::backward(const BackwardOptions& options) const { backward(Variable{}, options); }

void Variable::backward(const Variable& seed, const BackwardOptions& options) const {
  Engine engine(*this, checked_seed(*this, seed, "backward"), options.retain_graph, options.create_graph, nullptr);
  // The leaves get theirs at the end: an error on the way leaves every grad() as it was.
  std::vector<std::pair<std::shared_ptr<Node>, Variable>> leaves;
  engine.run([&](const std::shared_ptr<Node>& n, const Variable& grad) {
    if (n->inputs.empty() && !n->consumed) leaves.emplace_back(n, grad);
  });
  RecordingScope scope(options.create_graph);
  for (auto& [leaf, grad] : leaves) {
    const Variable own = std::move(grad);  // not held twice, so that the next pass may add in place
    accumulate(leaf->grad, own, options.create_graph);
  }
}

std::vector<Variable> gradients(const Variable& output, const std::vector<Variable>& inputs,
                                const GradientsOptions& options) {
  return gradients(output, inputs, Variable{}, options);
}

std::vector<Variable> gradients(const Variable& output, const std::vector<Variable>& inputs, const Variable& seed,
                                const GradientsOptions& options) {
  Variable first = checked_seed(output, seed, "gradients");
  for (std::size_t i = 0; i < inputs.size(); ++i)
    if (!inputs[i].requires_grad())
      throw ValueError(fmt::format("[gradients] inputs: number {} does not require a gradient", i));
  const NodeSet wanted = nodes_towards(output, inputs);
  if (!options.allow_unused)
    for (std::size_t i = 0; i < inputs.size(); ++i)
      if (!wanted.count(Node::of(inputs[i]).get()))
        throw ValueError(
            fmt::format("[gradients] inputs: the output does not depend on number {}; pass allow_unused to get an "
                        "undefined gradient",
                        i));
  std::vector<Variable> found(inputs.size());
  if (!wanted.count(Node::of(output).get())) return found;
  Engine engine(output, std::move(first), options.retain_graph, options.create_graph, &wanted);
  engine.run([&](const std::shared_ptr<Node>& n, const Variable& grad) {
    for (std::size_t i = 0; i < inputs.size(); ++i)
      if (Node::of(inputs[i]) == n) found[i] = grad;
  });
  for (std::size_t i = 0; i < inputs.size(); ++i)  // reached, but every way there was zero
    if (!found[i].defined() && wanted.count(Node::of(inputs[i]).get()))
      found[i] = Variable(Tensor::zeros(inputs[i].shape(), inputs[i].dtype()));
  return found;
}

bool recording() { return recording_on; }
RecordingScope::RecordingScope(bool on) : before_(recording_on) { recording_on = on; }
RecordingScope::~RecordingScope() { recording_on = before_; }

}  // namespace vg
