// Some ops are lazy: their output is computed on first use (it is materialized). Such an op checks its arguments at the
// call and stores what it needs to compute the output later.
//
// If the next op (an activation, a sum, a normalisation) can do the lazy op's work in its own pass over memory, the two
// fuse: it absorbs the lazy op and records one node for both. If no other code uses the value between them, that value
// is never computed. Users need not change relu(norm(conv(x))) for this. A fused node also stores its unfused form,
// whose input is the absorbed value; it gives the gradients with respect to that value, and all gradients that are
// recorded. Under a NanFinder, and in a FusionGuard(false), no op is lazy.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "voxgrad/framework/autograd/fusion.hpp"
#include "voxgrad/framework/autograd/variable.hpp"
#include "voxgrad/framework/kernels/common/activation.hpp"

namespace vg {

/// Whether the caller moved the last handle of a lazy value into an op, so that the value cannot be observed after
/// fusion. If not, the output of the convolution that the value is computed from is stored too, because the value may
/// still be needed.
enum class Donated { no, yes };

/// Computes a lazy value.
class LazyOp {
 public:
  LazyOp(const Shape& shape, DType dtype) : shape_(shape), dtype_(dtype) {}
  virtual ~LazyOp() = default;
  const Shape& shape() const { return shape_; }
  DType dtype() const { return dtype_; }

  virtual Tensor compute() const = 0;
  /// act(self) as one op, where self is the lazy Variable of this op; undefined if the two cannot fuse.
  virtual Variable with_activation(const Variable& /*self*/, const kernels::Activation&, Donated) const { return {}; }
  /// self + other, of the same shape and dtype, as one op, which is lazy again; undefined if they cannot fuse.
  virtual Variable with_sum(const Variable& /*self*/, const Variable& /*other*/) const { return {}; }

 private:
  Shape shape_;
  DType dtype_;
};

/// record() for a value that may be lazy. Its LazyOp must read only `inputs`, and the vjp must not read
/// VjpContext::output. The value is computed at once if a write to an input could go unnoticed: through a Tensor or
/// view that shares the input's memory, or through a pointer from Tensor::data(). A later write through Tensor::data()
/// or Variable::mutable_value() is noticed and computes the value first.
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
