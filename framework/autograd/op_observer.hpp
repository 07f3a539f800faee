// OpObserver: is told of every op and every vjp of a thread, while one is set. The NaN finder is one.
#pragma once

#include "voxgrad/framework/autograd/variable.hpp"

namespace vg {

/// What it throws goes to the caller of the op or of backward().
class OpObserver {
 public:
  virtual ~OpObserver() = default;
  /// An op has made `value`. `node` is the id of its node, 0 when the op is not recorded.
  virtual void on_output(std::string_view op, const Tensor& value, const std::vector<Variable>& inputs,
                         std::uint64_t node) = 0;
  /// The reverse pass has all of the gradient of `of`, which has this id: next comes its vjp, if it has one.
  virtual void on_gradient(const Variable& of, std::uint64_t node, const Variable& grad) = 0;
  /// Around a vjp; the ops within come to on_output() as all others. end_vjp() also comes when it throws.
  virtual void begin_vjp(std::string_view op, std::uint64_t node) = 0;
  virtual void on_vjp_result(const Grads& grads) = 0;
  virtual void end_vjp() noexcept = 0;

  /// This thread's; null: none.
  static OpObserver* current() { return current_; }

 private:
  friend OpObserver* set_op_observer(OpObserver* observer);
  static inline thread_local OpObserver* current_ = nullptr;
};

/// Sets this thread's observer (nullptr: none) and gives the one before.
OpObserver* set_op_observer(OpObserver* observer);

}  // namespace vg
