// The set that every CPU runs.
#include "framework/kernels/simd_scalar.hpp"
// after the Simd that the bodies use
#include "framework/kernels/body_winograd_weights.hpp"

namespace vg::kernels {
const WinogradTables* const scalar_winograd = &winograd_tables;
}
