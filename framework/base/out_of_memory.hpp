// What is said when memory cannot be had.
#pragma once

#include <cstddef>
#include <string_view>

#include "voxgrad/framework/base/error.hpp"

namespace vg {

/// The error of `bytes` for `what` ("a tensor f32 (2, 3)") that the system did not give. Names the op that runs
/// (OpGuard), the machine's memory, and the process's limit of addresses if it has one. Takes no memory itself.
MemoryError out_of_memory(std::string_view what, std::size_t bytes) noexcept;

}  // namespace vg
