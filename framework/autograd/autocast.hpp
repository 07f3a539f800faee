// The precision in which convolutions multiply f32 operands. Tensors, parameters, gradients and results stay f32. With
// bf16, only the factors of a product are rounded to bf16 (to nearest even; NaN stays NaN), and the products are summed
// in f32. That takes about half the time on CPUs with AVX512_BF16 (framework/kernels/dispatch/bf16_set.hpp). f64
// operands are multiplied in f64.
//
//   vg::Variable loss;
//   {
//     const vg::AutocastGuard scope;            // for forward passes in this scope and all of their gradients
//     loss = vg::cross_entropy(model(x), y);
//   }
//   loss.backward();
#pragma once

#include <string_view>

namespace vg {

enum class Compute {
  automatic,  ///< as set by the innermost AutocastGuard; full outside of any
  full,       ///< in the operands' dtype
  bf16        ///< f32 operands rounded to bf16
};

/// "automatic", "full" or "bf16".
std::string_view name_of(Compute compute);

/// The current meaning of Compute::automatic in this thread: full or bf16.
Compute autocast();

/// Sets autocast() for a scope. Compute::automatic leaves it as it is.
class AutocastGuard {
 public:
  explicit AutocastGuard(Compute compute = Compute::bf16);
  ~AutocastGuard();
  AutocastGuard(const AutocastGuard&) = delete;
  AutocastGuard& operator=(const AutocastGuard&) = delete;

 private:
  Compute before_;
};

}  // namespace vg
