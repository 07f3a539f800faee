// OpWatch: is told of every op and every vjp of a thread, while one is set. The NaN finder is one.
#pragma once

#include "voxgrad/framework/autograd/variable.hpp"

namespace vg {

/// What it throws goes to the caller of the op or of backward().
class OpWatch {
 public:
  virtual ~OpWatch() = default;
  /// An op has made `value`. `node` is the id of its node, 0 when the op is not recorded.
  virtual void made(std::string_view op, const Tensor& value, const std::vector<Variable>& inputs,
                    std::uint64_t node) = 0;
  /// The reverse pass has all of the gradient of `of`, which has this id: next comes its vjp, if it has one.
  virtual void collected(const Variable& of, std::uint64_t node, const Variable& grad) = 0;
  /// Around a vjp; the ops within are made() as all others. end_vjp() also comes when it throws.
  virtual void begin_vjp(std::string_view op, std::uint64_t node) = 0;
  virtual void returned(const Grads& grads) = 0;
  virtual void end_vjp() noexcept = 0;

  /// This thread's; null: none.
  static OpWatch* current() { return current_; }

 private:
  friend OpWatch* set_op_watch(OpWatch* watch);
  static inline thread_local OpWatch* current_ = nullptr;
};

/// Sets this thread's watch (nullptr: none) and gives the one before.
OpWatch* set_op_watch(OpWatch* watch);

}  // namespace vg
