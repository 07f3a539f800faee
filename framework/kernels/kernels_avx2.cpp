// Compiled with -mavx2 -mfma; without them (another architecture) the set does not exist.
#if defined(__AVX2__) && defined(__FMA__)
#include "framework/kernels/simd_avx2.hpp"
// after the Simd that the bodies use
#include "framework/kernels/body_table.hpp"

namespace vg::kernels {
const KernelTables* const avx2_kernels = &tables;
}
#else
#include "framework/kernels/kernel_table.hpp"
namespace vg::kernels {
const KernelTables* const avx2_kernels = nullptr;
}
#endif
