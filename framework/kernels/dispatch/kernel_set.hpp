// Which instruction set the kernels run on. The best one that the CPU has is chosen at the first use;
// VOXGRAD_KERNELS=name or use_kernel_set(name) forces one, and what was forced is what runs.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace vg {

/// All sets that were compiled in, best first: "avx512", "avx2", "portable".
std::vector<std::string> compiled_kernel_sets();
/// Those that this CPU can run, best first; "portable" is always the last.
std::vector<std::string> available_kernel_sets();
/// The set that runs now.
std::string kernel_set();
/// Forces a set for the whole process. Throws ValueError, listing what is available, when the CPU cannot run it.
void use_kernel_set(std::string_view name);

/// Forces a set for a scope and restores the one before.
class KernelSetGuard {
 public:
  explicit KernelSetGuard(std::string_view name);
  ~KernelSetGuard();
  KernelSetGuard(const KernelSetGuard&) = delete;
  KernelSetGuard& operator=(const KernelSetGuard&) = delete;

 private:
  std::string before_;
};

}  // namespace vg
