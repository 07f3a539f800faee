// Some ops are lazy: their output is computed on first use (it is materialized). Such an op checks its arguments at the
// call and stores what it needs to compute the output later.
//
// If the next op (an activation, a sum, a normalisation) can do the lazy op's work in its own pass over memory, the two
// fuse (ops/fusion.hpp): it absorbs the lazy op and records one node for both. If no other code uses the value between
// them, that value is never computed. Users need not change relu(norm(conv(x))) for this. A fused node also stores its
// unfused form, whose input is the absorbed value; it gives the gradients with respect to that value, and all gradients
// that are recorded. Under a NanFinder, and in a FusionGuard(false), no op is lazy.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "voxgrad/framework/autograd/variable.hpp"

namespace vg {

/// Computes a lazy value. Its only subclass is detail::Lazy (ops/detail/lazy.hpp).
struct LazyOp {
  LazyOp(const Shape& of_value, DType type) : shape(of_value), dtype(type) {}
  virtual ~LazyOp() = default;
  virtual Tensor compute() const = 0;

  Shape shape;
  DType dtype;
};

/// record() for a value that may be lazy. Its LazyOp must read only `inputs`, and the vjp must not read
/// VjpContext::output. The value is computed at once if a write to an input could go unnoticed: through a Tensor or
/// view that shares the input's memory, or through a pointer from Tensor::data(). A later write through Tensor::data()
/// or Variable::mutable_value() is noticed and computes the value first. A value of 2^40 elements or more, which no
/// memory can hold, is also computed at once, so that this is an error of the call.
Variable record_lazy(std::string_view op, std::shared_ptr<const LazyOp> how, std::vector<Variable> inputs, Vjp vjp);

/// Stores the unfused form of y, which was just recorded by an op that absorbed a value: the node of that op without
/// the absorbed work, whose first input is the absorbed value. Gradients with respect to that value use it, and so do
/// all gradients that are recorded (create_graph). The vjp of a fused node is only called while nothing is recorded.
void record_unfused(const Variable& y, std::string_view op, const std::vector<Variable>& inputs, Vjp vjp);

/// The op that will compute `v`; null if `v` has been computed, was never lazy, or fusion is off.
std::shared_ptr<const LazyOp> lazy_op_of(const Variable& v);
/// Gives `v` a value that was computed in another way than by compute(), unless another thread has computed it first.
void materialize(const Variable& v, Tensor value);

}  // namespace vg
