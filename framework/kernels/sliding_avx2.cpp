// Compiled as kernels_avx2.cpp is.
#if defined(__AVX2__) && defined(__FMA__)
#include "framework/kernels/simd_avx2.hpp"
// after the Simd that the bodies use
#include "framework/kernels/body_sliding.hpp"

namespace vg::kernels {
const SlidingTables* const avx2_sliding = &sliding_tables;
}
#else
#include "framework/kernels/sliding_table.hpp"
namespace vg::kernels {
const SlidingTables* const avx2_sliding = nullptr;
}
#endif
