// Which instruction set the kernels use. The first use chooses the best one of the CPU. VOXGRAD_KERNELS=name or
// use_kernel_set(name) forces one, which then runs without exception.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "voxgrad/framework/kernels/dispatch/choice.hpp"

namespace vg {

/// All sets that were compiled in, best first: "avx512", "avx2", "portable".
std::vector<std::string> compiled_kernel_sets();
/// Those that this CPU can run, best first; "portable" is always the last.
std::vector<std::string> available_kernel_sets();
/// The set in force. Throws ValueError if VOXGRAD_KERNELS names a set that the CPU cannot run and none was forced.
std::string kernel_set();
/// Forces a set for the whole process; "" ends that. Throws ValueError, listing the available sets, if the CPU cannot
/// run it.
void use_kernel_set(std::string_view name);

/// Forces a set for a scope and then restores the previous one. Throws as use_kernel_set.
class KernelSetGuard : kernels::Choice::Guard {
 public:
  explicit KernelSetGuard(std::string_view name);
};

}  // namespace vg
