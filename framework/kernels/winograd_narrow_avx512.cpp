// AVX2's code with twice the registers: half vectors for narrow channels. Compiled as kernels_avx512.cpp.
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#define VOXGRAD_SIMD_REGISTERS 32
#include "framework/kernels/simd_avx2.hpp"
// after the Simd that the bodies use
#include "framework/kernels/body_winograd_weights.hpp"

namespace vg::kernels {
namespace {
// for groups alone, which have no grad_weight
constexpr WinogradTables tables = {make_gather_table<false, float>(), make_gather_table<false, double>()};
}
const WinogradTables* const avx512_narrow_winograd = &tables;
}
#else
#include "framework/kernels/winograd_table.hpp"
namespace vg::kernels {
const WinogradTables* const avx512_narrow_winograd = nullptr;
}
#endif
