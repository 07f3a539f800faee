// Counts the multiply-adds of convolutions and matrix products for Module::summary. Each op adds its own.
#pragma once

#include <cstdint>

namespace vg {

/// Adds to this thread's count.
void count_multiply_adds(std::int64_t n);
std::int64_t multiply_adds_counted();

}  // namespace vg
