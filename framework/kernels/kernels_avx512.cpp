// Compiled with -mavx512{f,bw,dq,vl} -mavx2 -mfma -mprefer-vector-width=512; without them (another architecture) the
// set does not exist.
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#include "framework/kernels/simd_avx512.hpp"
// after the Simd that the bodies use
#include "framework/kernels/body_table.hpp"

namespace vg::kernels {
const KernelTables* const avx512_kernels = &tables;
}
#else
#include "framework/kernels/kernel_table.hpp"
namespace vg::kernels {
const KernelTables* const avx512_kernels = nullptr;
}
#endif
