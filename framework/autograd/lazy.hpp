// Values that are computed when they are first asked for, so that the op after may take the work over and do both in
// one pass over memory. This is how users get fusion without asking: relu(norm(conv(x))) is written as ever.
//
// An op that makes such a value has checked its arguments and done what cannot wait. If the next op knows how to absorb
// it (an activation, a sum, a normalisation), it records one node for both, and the value in between never exists. The
// node remembers what the op is by itself, for gradients with respect to the value in between.
// Whoever else asks for the value gets it, computed once. Under a NanFinder, and in a FusionGuard(false), nothing
// waits.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "voxgrad/framework/autograd/fusion.hpp"
#include "voxgrad/framework/autograd/variable.hpp"
#include "voxgrad/framework/kernels/common/activation.hpp"

namespace vg {

/// Whether a value may still be asked for by itself when the op after has taken it in. Where it is not, the convolution
/// that it comes from may give no result of its own either.
enum class Donated { no, yes };

/// How a value is computed.
class LazyOp {
 public:
  LazyOp(const Shape& shape, DType dtype) : shape_(shape), dtype_(dtype) {}
  virtual ~LazyOp() = default;
  const Shape& shape() const { return shape_; }
  DType dtype() const { return dtype_; }

  virtual Tensor compute() const = 0;
  /// act(self) as one op, where self is the Variable that waits for this; undefined where that is not known how to do.
  virtual Variable with_activation(const Variable& /*self*/, const kernels::Activation&, Donated) const { return {}; }
  /// self + other, of the same shape and dtype, as one op (lazy again); undefined likewise.
  virtual Variable with_sum(const Variable& /*self*/, const Variable& /*other*/) const { return {}; }

 private:
  Shape shape_;
  DType dtype_;
};

/// record() for a value that may be lazy: one that reads nothing but its inputs. It is lazy where nobody can write to
/// an input unseen, else it is computed at once: a Tensor or a view that shares an input's memory, or a pointer from
/// Tensor::data(), may write to it. A write that comes later and is seen (Tensor::data(), Variable::mutable_value())
/// computes the value first. The vjp must not read VjpContext::output.
Variable record_lazy(std::string_view op, std::shared_ptr<const LazyOp> how, std::vector<Variable> inputs, Vjp vjp);

/// Tells what y, just recorded by an op that took a value in, is without: the op by itself, whose first input is that
/// value. Gradients with respect to it go this way, and so do all that are recorded (create_graph): the vjp of an op
/// that took something in is called where nothing is recorded.
void record_unfused(const Variable& y, std::string_view op, const std::vector<Variable>& inputs, Vjp vjp);

/// How `v` will be computed; null when it has been, or was never lazy.
std::shared_ptr<const LazyOp> lazy_op_of(const Variable& v);
/// compute() in another way, which gives more than the value: v gets it, unless another thread has come first.
void materialize(const Variable& v, Tensor value);

}  // namespace vg
