// Compiled as kernels_avx512.cpp is.
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#include "framework/kernels/simd_avx512.hpp"
// after the Simd that the bodies use
#include "framework/kernels/body_sliding.hpp"

namespace vg::kernels {
const SlidingTables* const avx512_sliding = &sliding_tables;
}
#else
#include "framework/kernels/sliding_table.hpp"
namespace vg::kernels {
const SlidingTables* const avx512_sliding = nullptr;
}
#endif
