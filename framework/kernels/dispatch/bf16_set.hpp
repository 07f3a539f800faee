// What multiplies bf16: a set of its own, because a CPU may have AVX-512 and no bf16, or bf16 in more than one form.
//   "amx"         tiles for the dense forward and grad_input, AVX512_BF16 for the rest
//   "avx512bf16"  pairs, two products an instruction
//   "emulated"    operands rounded to bf16 in floats, f32's kernels: everywhere, as fast as f32
//   "portable"    pairs and tiles in plain C++, for tests
// By itself it is the best one that the CPU has if the kernel set (kernel_set.hpp) is avx512, else "emulated".
// VOXGRAD_BF16_KERNELS=name or use_bf16_kernel_set(name) forces one; "" goes back to the choice.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace vg {

/// What this CPU can run.
std::vector<std::string> available_bf16_kernel_sets();
/// The set that runs now.
std::string bf16_kernel_set();
/// For the whole process. Throws ValueError, listing what is available, when the CPU cannot run it.
void use_bf16_kernel_set(std::string_view name);

/// Forces a set for a scope and restores what was forced before.
class Bf16KernelSetGuard {
 public:
  explicit Bf16KernelSetGuard(std::string_view name);
  ~Bf16KernelSetGuard();
  Bf16KernelSetGuard(const Bf16KernelSetGuard&) = delete;
  Bf16KernelSetGuard& operator=(const Bf16KernelSetGuard&) = delete;

 private:
  std::string before_;
};

namespace kernels {
struct Bf16Kernels;
/// Of the set in force; null: emulated.
const Bf16Kernels* current_bf16_kernels();
}  // namespace kernels

}  // namespace vg
