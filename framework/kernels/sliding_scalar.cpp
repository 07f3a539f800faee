// The set that every CPU runs.
#include "framework/kernels/simd_scalar.hpp"
// after the Simd that the bodies use
#include "framework/kernels/body_sliding.hpp"

namespace vg::kernels {
const SlidingTables* const scalar_sliding = &sliding_tables;
}
