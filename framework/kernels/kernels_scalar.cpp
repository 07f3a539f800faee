// The set that every CPU runs.
#include "framework/kernels/simd_scalar.hpp"
// after the Simd that the bodies use
#include "framework/kernels/body_table.hpp"

namespace vg::kernels {
const KernelTables* const scalar_kernels = &tables;
}
