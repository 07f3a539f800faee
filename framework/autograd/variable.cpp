#include "voxgrad/framework/autograd/variable.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <utility>

#include <fmt/format.h>

#include "voxgrad/framework/autograd/lazy.hpp"
#include "voxgrad/framework/autograd/node.hpp"
#include "voxgrad/framework/autograd/op_observer.hpp"
#include "voxgrad/framework/base/error.hpp"

namespace vg {

// A lazy value. Threads that share it may read it at the same time.
struct LazyValue : Storage::Reader {
  const Shape shape;
  const DType dtype;

  explicit LazyValue(std::shared_ptr<const LazyOp> rule)
      : shape(rule->shape), dtype(rule->dtype), how_(std::move(rule)) {}

  const Tensor& value() {
    return materialize([](const LazyOp& how) { return how.compute(); });
  }
  template <class Compute>
  const Tensor& materialize(const Compute& compute) {
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
  /// The op that will compute the value; null once it has been computed.
  std::shared_ptr<const LazyOp> how() {
    if (done_.load(std::memory_order_acquire)) return nullptr;
    const std::lock_guard lock(mutex_);
    return how_;
  }
  /// Registers a reader of the value, whose memory may not exist yet.
  void add_reader(const std::weak_ptr<Reader>& reader) {
    const std::lock_guard lock(mutex_);
    if (how_)
      readers_.push_back(reader);
    else
      value_.storage()->add_reader(reader);
  }
  void read_now() override { value(); }

  /// Whether a value with these inputs may be lazy: no write to an input's memory can be undetected.
  static bool can_watch(const std::vector<Variable>& inputs);
  static void add_readers(const std::shared_ptr<LazyValue>& lazy, const std::vector<Variable>& inputs);

 private:
  std::mutex mutex_;
  std::atomic<bool> done_{false};
  std::shared_ptr<const LazyOp> how_;  // null once the value is computed
  std::vector<std::weak_ptr<Reader>> readers_;
  Tensor value_;
};

Node::Input Node::input(const Variable& v) {
  if (!v.defined()) return {};
  const Variable::Body& body = *v.body_;
  if (body.lazy && body.lazy->how()) return {body.node, nullptr, 0};
  Storage* const memory = (body.lazy ? body.lazy->value() : body.value).storage().get();
  return {body.node, memory, memory->save()};
}

void Node::assign(Variable& handle, const Tensor& value, const std::shared_ptr<Node>& node) {
  if (handle.defined() && handle.unique()) {
    handle.body_->value = value;
    handle.body_->node = node;
  } else {
    handle = node ? make_variable(value, node, nullptr) : Variable();
  }
}

bool LazyValue::can_watch(const std::vector<Variable>& inputs) {
  return std::none_of(inputs.begin(), inputs.end(), [](const Variable& v) {
    if (!v.defined()) return false;
    return v.body_->lazy ? !v.body_->lazy->how() && v.body_->lazy->value().may_be_written()
                         : v.body_->value.may_be_written();
  });
}

void LazyValue::add_readers(const std::shared_ptr<LazyValue>& lazy, const std::vector<Variable>& inputs) {
  for (const Variable& v : inputs) {
    if (!v.defined()) continue;
    if (v.body_->lazy)
      v.body_->lazy->add_reader(lazy);
    else
      v.body_->value.storage()->add_reader(lazy);
  }
}

namespace {

std::uint64_t next_id() {
  static std::atomic<std::uint64_t> id{0};
  return id.fetch_add(1, std::memory_order_relaxed);
}

// A node's destruction releases its inputs, whose destruction releases theirs. As a recursion, that overflows the stack
// at a depth of about 10^4. So while one node is being destroyed, further nodes are put on this list. The list is
// linked through the nodes and needs no destructor, because variables with static storage die after a thread's own
// objects.
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

thread_local bool recording_on = true;
// Throws ValueError if the running vjp reads a value whose content has changed since its op was recorded.
void check_saved(const VjpGuard& now, const Tensor& value, bool was_late) {
  const Node& node = now.op;
  const Storage* const memory = value.storage().get();
  const auto fail = [&](const std::string& what) {
    throw ValueError(
        fmt::format("[{}] backward: {}, {} {}, was written to after the op had saved it for its gradient; write "
                    "before the op, or "
                    "to a clone()",
                    node.op, what, name_of(value.dtype()), value.shape().str()));
  };
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    if (node.inputs[i].memory != memory) continue;
    if (memory->changed_since(node.inputs[i].version)) fail(fmt::format("input {}", i));
    return;
  }
  if (now.result.output.storage().get() == memory) {
    if (memory->changed_since(now.result.output_version)) fail("its result");
  } else if (was_late && memory->changed_since(0)) {
    fail("an input");
  }
}

}  // namespace

Variable make_variable(Tensor value, std::shared_ptr<Node> node, std::shared_ptr<LazyValue> lazy) {
  Variable v;
  v.body_ = std::make_shared<Variable::Body>(Variable::Body{std::move(value), std::move(node), std::move(lazy)});
  return v;
}

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
  const Tensor& value = body_->lazy ? body_->lazy->value() : body_->value;
  if (VjpGuard::current() != nullptr && value.storage()->has_versions())
    check_saved(*VjpGuard::current(), value, body_->lazy != nullptr);
  return value;
}

const Shape& Variable::shape() const {
  if (!body_) return value().shape();  // throws
  return body_->lazy ? body_->lazy->shape : body_->value.shape();
}
DType Variable::dtype() const {
  if (!body_) return value().dtype();  // throws
  return body_->lazy ? body_->lazy->dtype : body_->value.dtype();
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
  if (body_->lazy) {  // of an op that recorded nothing
    body_->value = body_->lazy->value();
    body_->lazy = nullptr;
  }
  if (unique() && body_->value.unique()) body_->value.storage()->forget();
  return body_->value;
}

bool Variable::is(const Variable& other) const {
  if (!body_ || !other.body_ || !body_->node) return body_ == other.body_;
  return body_->node == other.body_->node;
}

bool VjpContext::needs(std::size_t i) const {
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

Variable record(std::string_view op, Tensor value, std::vector<Variable> inputs, Vjp vjp, SaveOutput save_output) {
  if (value.unique()) value.storage()->pointers_dropped();  // the op's own pointers, which it no longer uses
  if (!will_record(inputs)) {
    if (OpObserver* const observer = OpObserver::current()) observer->on_output(op, value, inputs, 0);
    return Variable(value);
  }
  auto node = record_node(op, value.shape(), value.dtype(), inputs, std::move(vjp));
  if (save_output == SaveOutput::yes) {
    node->output = value;
    node->output_version = value.storage()->save();
  }
  if (OpObserver* const observer = OpObserver::current()) observer->on_output(op, value, inputs, node->id);
  return make_variable(std::move(value), std::move(node), nullptr);
}

bool fuses() { return fusion_on && OpObserver::current() == nullptr; }

Variable record_lazy(std::string_view op, std::shared_ptr<const LazyOp> how, std::vector<Variable> inputs, Vjp vjp) {
  constexpr std::int64_t most_elements = std::int64_t{1} << 40;
  if (!fuses() || how->shape.numel() >= most_elements || !LazyValue::can_watch(inputs))
    return record(op, how->compute(), std::move(inputs), std::move(vjp), SaveOutput::no);
  std::shared_ptr<Node> node;
  if (will_record(inputs)) node = record_node(op, how->shape, how->dtype, inputs, std::move(vjp));
  auto lazy = std::make_shared<LazyValue>(std::move(how));
  LazyValue::add_readers(lazy, inputs);
  return make_variable({}, std::move(node), std::move(lazy));
}

std::shared_ptr<const LazyOp> lazy_op_of(const Variable& v) {
  return v.defined() && v.body_->lazy && fuses() ? v.body_->lazy->how() : nullptr;
}

void materialize(const Variable& v, Tensor value) {
  v.body_->lazy->materialize([&](const LazyOp&) { return std::move(value); });
}

void record_unfused(const Variable& y, std::string_view op, const std::vector<Variable>& inputs, Vjp vjp) {
  if (const auto& node = Node::of(y); needs_gradient(node))
    node->unfused = record_node(op, node->shape, node->dtype, inputs, std::move(vjp));
}

FusionGuard::FusionGuard(bool on) : before_(fusion_on) { fusion_on = on; }
FusionGuard::~FusionGuard() { fusion_on = before_; }

OpObserver* set_op_observer(OpObserver* next) { return std::exchange(OpObserver::current_, next); }

bool recording() { return recording_on; }
RecordingGuard::RecordingGuard(bool on) : before_(recording_on) { recording_on = on; }
RecordingGuard::~RecordingGuard() { recording_on = before_; }

}  // namespace vg
