// In what convolutions multiply f32 operands. Tensors, parameters, gradients and results stay f32: only the factors are
// rounded to bf16 (to nearest even, NaN stays NaN) on their way into a product, and the products are summed in f32.
// That takes about half the time where the CPU has AVX512_BF16 (framework/kernels/dispatch/bf16_set.hpp). f64 is
// computed in f64.
//
//   vg::Variable loss;
//   {
//     const vg::AutocastGuard scope;            // forward passes in here, and their gradients wherever they are taken
//     loss = vg::cross_entropy(model(x), y);
//   }
//   loss.backward();
#pragma once

#include <string_view>

namespace vg {

enum class Compute {
  automatic,  ///< as the AutocastGuard scope says, outside of any: full
  full,       ///< in the operands' dtype
  bf16        ///< f32 operands rounded to bf16
};

/// "automatic", "full" or "bf16".
std::string_view name_of(Compute compute);

/// What Compute::automatic means now (this thread): full or bf16.
Compute autocast();

/// Sets that for a scope. Compute::automatic leaves it as it is.
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
