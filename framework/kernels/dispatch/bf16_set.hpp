// The kernel set for bf16. It is separate, because a CPU may have AVX-512 without bf16, or bf16 in more than one form.
//   "amx"         tiles for the dense forward and grad_input, AVX512_BF16 for the rest
//   "avx512bf16"  pairs: an instruction adds two products per lane
//   "emulated"    the f32 kernels on floats that were rounded to bf16: runs on every CPU, as fast as f32
//   "portable"    pairs and tiles in plain C++, for tests
// By default the best set of the CPU runs if the kernel set (kernel_set.hpp) is avx512, else "emulated".
// VOXGRAD_BF16_KERNELS=name or use_bf16_kernel_set(name) forces one; "" restores the default.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "voxgrad/framework/kernels/dispatch/choice.hpp"

namespace vg {

/// The sets that this CPU can run, best first.
std::vector<std::string> available_bf16_kernel_sets();
/// The set in force. Throws ValueError if VOXGRAD_BF16_KERNELS names a set that cannot run and none was forced.
std::string bf16_kernel_set();
/// Forces a set for the whole process. Throws ValueError, listing the available sets, if the CPU cannot run it.
void use_bf16_kernel_set(std::string_view name);

/// Forces a set for a scope and then restores what was forced before. Throws as use_bf16_kernel_set.
class Bf16KernelSetGuard : kernels::Choice::Guard {
 public:
  explicit Bf16KernelSetGuard(std::string_view name);
};

namespace kernels {
struct Bf16Kernels;
/// The kernels of the set in force; null for "emulated".
const Bf16Kernels* current_bf16_kernels();
}  // namespace kernels

}  // namespace vg
