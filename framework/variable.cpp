#include "framework/variable.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>

#include "framework/deferred.hpp"
#include "framework/error.hpp"
#include "framework/op_watch.hpp"
#include "framework/ops/elementwise.hpp"

namespace vg {

// A lazy value. Threads that share it may read it at the same time.
struct Late : Storage::Reader {
  const Shape shape;
  const DType dtype;

  explicit Late(std::shared_ptr<const Deferred> rule)
      : shape(rule->shape()), dtype(rule->dtype()), how_(std::move(rule)) {}

  const Tensor& value() {
    return settle([](const Deferred& how) { return how.compute(); });
  }
  template <class Compute>
  const Tensor& settle(const Compute& compute) {
    if (done_.load(std::memory_order_acquire)) return value_;
    const std::lock_guard lock(mutex_);
    if (!how_) return value_;
    value_ = compute(*how_);
    value_.storage()->pointers_dropped();
    for (auto& reader : readers_) value_.storage()->add_reader(std::move(reader));
    readers_.clear();
    how_ = nullptr;
    done_.store(true, std::memory_order_release);
    return value_;
  }
  /// How it will be computed; null when it has been.
  std::shared_ptr<const Deferred> how() {
    if (done_.load(std::memory_order_acquire)) return nullptr;
    const std::lock_guard lock(mutex_);
    return how_;
  }
  /// The reader will read the value, which has no memory before it is computed.
  void add_reader(const std::weak_ptr<Reader>& reader) {
    const std::lock_guard lock(mutex_);
    if (how_)
      readers_.push_back(reader);
    else
      value_.storage()->add_reader(reader);
  }
  void read_now() override { value(); }

  /// Whether a value may be lazy that reads these: nobody may write to one of them unseen.
  static bool may_read_later(const std::vector<Variable>& inputs);
  static void read_later(const std::shared_ptr<Late>& late, const std::vector<Variable>& inputs);

 private:
  std::mutex mutex_;
  std::atomic<bool> done_{false};
  std::shared_ptr<const Deferred> how_;  // until then
  std::vector<std::weak_ptr<Reader>> readers_;
  Tensor value_;
};

// One op of the graph, or a leaf: what the reverse pass needs. It does not hold the op's value, unless the vjp reads
// it: values live as long as their Variables, so what no vjp captured is freed in the middle of a forward pass. Ids
// grow with creation, so every user of a node has a higher id than it: walking in falling order of ids meets all users
// before the node itself.
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
  static Input input(const Variable& v) {
    if (!v.defined()) return {};
    const Variable::Body& body = *v.body_;
    if (body.late && body.late->how()) return {body.node, nullptr, 0};
    Storage* const memory = (body.late ? body.late->value() : body.value).storage().get();
    return {body.node, memory, memory->save()};
  }
};

bool Late::may_read_later(const std::vector<Variable>& inputs) {
  return std::none_of(inputs.begin(), inputs.end(), [](const Variable& v) {
    if (!v.defined()) return false;
    return v.body_->late ? !v.body_->late->how() && v.body_->late->value().may_be_written()
                         : v.body_->value.may_be_written();
  });
}

void Late::read_later(const std::shared_ptr<Late>& late, const std::vector<Variable>& inputs) {
  for (const Variable& v : inputs) {
    if (!v.defined()) continue;
    if (v.body_->late)
      v.body_->late->add_reader(late);
    else
      v.body_->value.storage()->add_reader(late);
  }
}

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

std::shared_ptr<Node> make_node(const Shape& shape, DType dtype) {
  auto node = std::shared_ptr<Node>(new Node, Reaper{});
  node->shape = shape;
  node->dtype = dtype;
  node->id = next_id();
  return node;
}

bool needs_gradient(const Node* node) { return node != nullptr && node->requires_grad; }
bool needs_gradient(const std::shared_ptr<Node>& node) { return needs_gradient(node.get()); }
bool needs_gradient(const Node::Input& input) { return needs_gradient(input.node.get()); }

thread_local bool recording_on = true;
thread_local OpWatch* watch = nullptr;

// The vjp that runs: an op's, or that of what the op is without what it took in, whose result is the op's.
struct Pulled {
  const Node *op, *of_result;
};
thread_local const Pulled* pulled = nullptr;

// Throws where the vjp that runs reads a value whose content has changed since its op was recorded.
void check_saved(const Pulled& now, const Tensor& value, bool was_late) {
  const Node& node = *now.op;
  const Storage* const memory = value.storage().get();
  const auto fail = [&](const std::string& what) {
    throw ValueError(fmt::format(
        "[{}] backward: {}, {} {}, was written to after the op had saved it for its gradient; write before the op, or "
        "to a clone()",
        node.op, what, name_of(value.dtype()), value.shape().str()));
  };
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    if (node.inputs[i].memory != memory) continue;
    if (memory->changed_since(node.inputs[i].version)) fail(fmt::format("input {}", i));
    return;
  }
  if (now.of_result->output.storage().get() == memory) {
    if (memory->changed_since(now.of_result->output_version)) fail("its result");
  } else if (was_late && memory->changed_since(0)) {
    fail("an input");
  }
}

using NodeSet = std::unordered_set<const Node*>;

// The part of a graph between an output and the inputs asked for.
struct Region {
  NodeSet wanted;   // nodes from which an input can be reached
  NodeSet unfused;  // nodes to be walked as if they had taken nothing in, because an input asked for is within them
};

// The op of n as a pass walks it: n, or what n is without what it took in.
const Node& walked(const Node& n, bool create_graph, const NodeSet* unfused) {
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
  throw ValueError(fmt::format("[{}] vjp: the gradient of input {} is {} {}; must be {} {} as the input", node.op, i,
                               name_of(grad.dtype()), grad.shape().str(), name_of(input.dtype), input.shape.str()));
}

}  // namespace

Variable make_variable(Tensor value, std::shared_ptr<Node> node, std::shared_ptr<Late> late) {
  Variable v;
  v.body_ = std::make_shared<Variable::Body>(Variable::Body{std::move(value), std::move(node), std::move(late)});
  return v;
}

// The reverse pass: to every node that requires a gradient, or only to those of a region. What a pass has collected is
// kept here and not in the nodes, so passes may share nodes: one within a vjp (checkpointing), or one a thread over the
// same weights. Gradients that are recorded are those of the ops as they were written: they depend on each value that a
// user can have a handle of.
class Engine {
 public:
  Engine(const Variable& root, Variable seed, bool retain, bool create, const Region* region)
      : retain_(retain || create),
        create_(create),
        wanted_(region ? &region->wanted : nullptr),
        unfused_(region ? &region->unfused : nullptr) {
    push(Node::of(root), std::move(seed));
  }

  // Calls finish(node, gradient) for each node reached, before its own vjp runs.
  template <class Finish>
  void run(Finish finish) {
    RecordingScope scope(create_);
    while (!heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end(), Later());
      const std::shared_ptr<Node> node = std::move(heap_.back());
      heap_.pop_back();
      Variable grad = std::move(pending_.extract(node.get()).mapped());
      if (watch != nullptr) watch->collected(make_variable({}, node, nullptr), node->id, grad);
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

  static Grads pull(const Node& node, const Node& self, const Pull& p) {
    struct Scope {
      explicit Scope(const Pulled* now) : before(std::exchange(pulled, now)) {}
      ~Scope() { pulled = before; }
      const Pulled* before;
    };
    const Pulled now{&node, &self};
    const Scope scope(&now);
    const OpScope op_scope(node.op);
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

  // The output that a vjp sees: the same handle for one op after the other, unless a vjp has kept it.
  void set_output(const Tensor& value, const std::shared_ptr<Node>& node) {
    if (output_.defined() && output_.unique()) {
      output_.body_->value = value;
      output_.body_->node = node;
    } else {
      output_ = node ? make_variable(value, node, nullptr) : Variable();
    }
  }

  void step(const std::shared_ptr<Node>& self, Variable& grad) {
    const Node& node = walked(*self, create_, unfused_);
    if (self->consumed)
      throw ValueError(fmt::format(
          "[backward] the graph was freed by an earlier pass (at op {}); give that pass retain_graph", node.op));
    if (std::none_of(node.inputs.begin(), node.inputs.end(), [&](const auto& n) { return wanted(n); })) return;
    set_output(self->output, self);
    Grads grads = pull(node, *self, Pull{grad, output_, node, wanted_});
    set_output({}, nullptr);
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
  std::unordered_map<const Node*, Variable> pending_;  // the gradients of what is in the heap, as far as collected
  Variable output_;
  bool retain_, create_;
  const NodeSet *wanted_, *unfused_;  // null: all, and none
};

Variable::Variable(const Tensor& value, bool requires_grad) {
  if (!value.defined()) return;
  if (requires_grad && !is_float(value.dtype()))
    throw TypeError("[Variable] requires_grad: got an i32 tensor; must be f32 or f64");
  body_ = std::make_shared<Body>(Body{value, nullptr, nullptr});
  if (!requires_grad) return;
  body_->node = make_node(value.shape(), value.dtype());
  body_->node->requires_grad = true;
}

const Tensor& Variable::value() const {
  if (!body_) throw ValueError("[Variable] value(): the variable is undefined");
  const Tensor& value = body_->late ? body_->late->value() : body_->value;
  if (pulled != nullptr && value.storage()->has_versions()) check_saved(*pulled, value, body_->late != nullptr);
  return value;
}

const Shape& Variable::shape() const {
  if (!body_) return value().shape();  // throws
  return body_->late ? body_->late->shape : body_->value.shape();
}
DType Variable::dtype() const {
  if (!body_) return value().dtype();  // throws
  return body_->late ? body_->late->dtype : body_->value.dtype();
}

bool Variable::requires_grad() const { return body_ && needs_gradient(body_->node); }
bool Variable::is_leaf() const {
  return !body_ || !body_->node || (body_->node->inputs.empty() && !body_->node->consumed);
}
std::string_view Variable::op() const { return body_ && body_->node ? body_->node->op : std::string_view{}; }

const Variable& Variable::grad() const {
  static const Variable none;
  return body_ && body_->node ? body_->node->grad : none;
}
void Variable::zero_grad() {
  if (body_ && body_->node) body_->node->grad = {};
}
void Variable::set_grad(const Variable& grad) {
  if (!body_) throw ValueError("[Variable] set_grad: the variable is undefined");
  if (grad.defined() && (grad.shape() != shape() || grad.dtype() != dtype()))
    throw ValueError(fmt::format("[Variable] set_grad: got {} {}; must be {} {}", name_of(grad.dtype()),
                                 grad.shape().str(), name_of(dtype()), shape().str()));
  if (!body_->node && grad.defined()) body_->node = make_node(shape(), dtype());  // of a constant
  if (body_->node) body_->node->grad = grad;
}

Variable Variable::detach() const { return body_ ? Variable(value()) : Variable(); }

Tensor& Variable::mutable_value() {
  if (!is_leaf())
    throw ValueError(fmt::format("[Variable] mutable_value(): the result of op {} must not be changed in place", op()));
  if (!body_) throw ValueError("[Variable] mutable_value(): the variable is undefined");
  if (body_->late) {  // of an op that recorded nothing
    body_->value = body_->late->value();
    body_->late = nullptr;
  }
  if (unique() && body_->value.unique()) body_->value.storage()->forget();
  return body_->value;
}

bool same(const Variable& a, const Variable& b) {
  if (!a.body_ || !b.body_ || !a.body_->node) return a.body_ == b.body_;
  return a.body_->node == b.body_->node;
}

bool Pull::needs(std::size_t i) const {
  const Node::Input& input = node.inputs[i];
  return needs_gradient(input) && (wanted == nullptr || wanted->count(input.node.get()) != 0);
}

bool will_record(const std::vector<Variable>& inputs) {
  return recording_on && std::any_of(inputs.begin(), inputs.end(), [](const Variable& v) { return v.requires_grad(); });
}

namespace {

std::shared_ptr<Node> record_node(std::string_view op, const Shape& shape, DType dtype,
                                  const std::vector<Variable>& inputs, Vjp vjp) {
  auto node = make_node(shape, dtype);
  node->requires_grad = true;
  node->op = op;
  node->inputs.reserve(inputs.size());
  for (const Variable& v : inputs) node->inputs.push_back(Node::input(v));
  node->vjp = std::move(vjp);
  return node;
}

thread_local bool fusion_on = true;

}  // namespace

Variable record(std::string_view op, Tensor value, std::vector<Variable> inputs, Vjp vjp, Output output) {
  if (value.unique()) value.storage()->pointers_dropped();  // the op's own, who is done with them
  if (!will_record(inputs)) {
    if (watch != nullptr) watch->made(op, value, inputs, 0);
    return Variable(value);
  }
  auto node = record_node(op, value.shape(), value.dtype(), inputs, std::move(vjp));
  if (output == Output::saved) {
    node->output = value;
    node->output_version = value.storage()->save();
  }
  if (watch != nullptr) watch->made(op, value, inputs, node->id);
  return make_variable(std::move(value), std::move(node), nullptr);
}

bool fuses() { return fusion_on && watch == nullptr; }

Variable record_deferred(std::string_view op, std::shared_ptr<const Deferred> how, std::vector<Variable> inputs,
                         Vjp vjp) {
  if (!fuses() || !Late::may_read_later(inputs))
    return record(op, how->compute(), std::move(inputs), std::move(vjp), Output::dropped);
  std::shared_ptr<Node> node;
  if (will_record(inputs)) node = record_node(op, how->shape(), how->dtype(), inputs, std::move(vjp));
  auto late = std::make_shared<Late>(std::move(how));
  Late::read_later(late, inputs);
  return make_variable({}, std::move(node), std::move(late));
}

std::shared_ptr<const Deferred> deferred_of(const Variable& v) {
  return v.defined() && v.body_->late && fuses() ? v.body_->late->how() : nullptr;
}

void settle(const Variable& v, Tensor value) {
  v.body_->late->settle([&](const Deferred&) { return std::move(value); });
}

void record_unfused(const Variable& y, std::string_view op, const std::vector<Variable>& inputs, Vjp vjp) {
  if (const auto& node = Node::of(y); needs_gradient(node))
    node->unfused = record_node(op, node->shape, node->dtype, inputs, std::move(vjp));
}

FusionScope::FusionScope(bool on) : before_(fusion_on) { fusion_on = on; }
FusionScope::~FusionScope() { fusion_on = before_; }

OpWatch* set_op_watch(OpWatch* next) { return std::exchange(watch, next); }

namespace {

Variable checked_seed(const Variable& output, const Variable& seed, std::string_view where) {
  if (!output.defined()) throw ValueError(fmt::format("[{}] output: the variable is undefined", where));
  if (!output.requires_grad())
    throw ValueError(
        fmt::format("[{}] output: it depends on nothing that requires a gradient{}; compute it outside of vg::NoGrad, "
                    "from parameters that are not frozen or a Variable(tensor, true), without detach() or value() on "
                    "the way",
                    where, recording_on ? "" : " (vg::NoGrad is on here)"));
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

// Whether n took in one of the targets, itself or by what it took in. Of a node that a walk has freed nobody knows what
// it took in; it is then met in the region, and refused.
bool took_in(const Node& n, const NodeSet& targets) {
  for (const Node* at = &n; at->unfused != nullptr;) {
    at = at->unfused->inputs[0].node.get();
    if (!needs_gradient(at)) return false;
    if (at->consumed || targets.count(at) != 0) return true;
  }
  return false;
}

Region region_between(const Variable& root, const std::vector<Variable>& inputs, bool create) {
  NodeSet targets;
  for (const Variable& v : inputs) targets.insert(Node::of(v).get());
  Region region;
  const auto inputs_of = [&](const Node* n) -> const auto& { return walked(*n, create, &region.unfused).inputs; };
  const Node* first = Node::of(root).get();
  NodeSet seen{first};
  std::vector<const Node*> nodes{first};
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const Node* const node = nodes[i];
    if (node->consumed)
      throw ValueError(fmt::format(
          "[gradients] the graph was freed by an earlier pass (at op {}); give that pass retain_graph", node->op));
    if (took_in(*node, targets)) region.unfused.insert(node);
    for (const Node::Input& input : inputs_of(node))
      if (const Node* n = input.node.get(); needs_gradient(n) && seen.insert(n).second) nodes.push_back(n);
  }
  for (const Node* target : targets)
    if (seen.count(target) != 0) region.wanted.insert(target);
  std::sort(nodes.begin(), nodes.end(), [](const Node* a, const Node* b) { return a->id < b->id; });
  for (const Node* n : nodes) {
    const auto& from = inputs_of(n);
    if (std::any_of(from.begin(), from.end(),
                    [&](const auto& input) { return region.wanted.count(input.node.get()) != 0; }))
      region.wanted.insert(n);
  }
  return region;
}

}  // namespace

void Variable::backward(const BackwardOptions& options) const { backward(Variable{}, options); }

void Variable::backward(const Variable& seed, const BackwardOptions& options) const {
  Engine engine(*this, checked_seed(*this, seed, "backward"), options.retain_graph, options.create_graph, nullptr);
  // The leaves get theirs at the end: an error on the way leaves every grad() as it was.
  struct Leaf {
    std::shared_ptr<Node> node;
    Variable grad;  // of this pass, then of all
    bool in_place = false;
  };
  std::vector<Leaf> leaves;
  engine.run([&](const std::shared_ptr<Node>& n, const Variable& grad) {
    if (n->inputs.empty() && !n->consumed) leaves.push_back({n, grad});
  });
  RecordingScope scope(options.create_graph);
  // what may throw comes first: values that are still lazy, and sums that need memory
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

std::vector<Variable> gradients(const Variable& output, const std::vector<Variable>& inputs, const Variable& seed,
                                const GradientsOptions& options) {
  Variable first = checked_seed(output, seed, "gradients");
  for (std::size_t i = 0; i < inputs.size(); ++i)
    if (!inputs[i].requires_grad())
      throw ValueError(fmt::format("[gradients] inputs: number {} does not require a gradient", i));
  const Region region = region_between(output, inputs, options.create_graph);
  const NodeSet& wanted = region.wanted;
  if (!options.allow_unused)
    for (std::size_t i = 0; i < inputs.size(); ++i)
      if (!wanted.count(Node::of(inputs[i]).get()))
        throw ValueError(
            fmt::format("[gradients] inputs: the output does not depend on number {}; pass allow_unused to get an "
                        "undefined gradient",
                        i));
  std::vector<Variable> found(inputs.size());
  if (!wanted.count(Node::of(output).get())) return found;
  Engine engine(output, std::move(first), options.retain_graph, options.create_graph, &region);
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
