// The error for a failed allocation.
#pragma once

#include <cstddef>
#include <string_view>

#include "voxgrad/framework/base/error.hpp"

namespace vg {

/// The error for an allocation of `bytes` bytes for `what` ("a tensor f32 (2, 3)") that failed. The message names the
/// current op (OpGuard), the machine's memory, and the process's address space limit if it has one. Allocates no
/// memory.
MemoryError out_of_memory(std::string_view what, std::size_t bytes) noexcept;

}  // namespace vg
