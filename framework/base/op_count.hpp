// Multiply-adds, counted by the ops that do them (convolutions, matrix products) while somebody counts
// (Module::summary).
#pragma once

#include <cstdint>

namespace vg {

/// Adds to this thread's count.
void count_multiply_adds(std::int64_t n);
std::int64_t multiply_adds_counted();

}  // namespace vg
