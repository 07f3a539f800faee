// OpObserver: is notified of every op and every vjp of a thread while it is set. NanFinder is one.
#pragma once

#include "voxgrad/framework/autograd/variable.hpp"

namespace vg {

/// An exception that an observer throws goes to the caller of the op or of backward().
class OpObserver {
 public:
  virtual ~OpObserver() = default;
  /// Called after an op has computed `value`. `node` is the id of its node, or 0 if the op is not recorded.
  virtual void on_output(std::string_view op, const Tensor& value, const std::vector<Variable>& inputs,
                         std::uint64_t node) = 0;
  /// Called when the whole gradient of `of` is summed, before its vjp (if it has one). `node` is the id of its node.
  virtual void on_gradient(const Variable& of, std::uint64_t node, const Variable& grad) = 0;
  /// Called before a vjp. The ops within it also call on_output(). end_vjp() is called even if the vjp throws.
  virtual void begin_vjp(std::string_view op, std::uint64_t node) = 0;
  virtual void on_vjp_result(const Grads& grads) = 0;
  virtual void end_vjp() noexcept = 0;

  /// This thread's observer, or null.
  static OpObserver* current() { return current_; }

 private:
  friend OpObserver* set_op_observer(OpObserver* observer);
  static inline thread_local OpObserver* current_ = nullptr;
};

/// Sets this thread's observer (nullptr for none) and returns the previous one.
OpObserver* set_op_observer(OpObserver* observer);

}  // namespace vg
