// Compiled as kernels_avx512.cpp.
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#include "framework/kernels/simd_avx512.hpp"
// after the Simd that the bodies use
#include "framework/kernels/body_winograd_weights.hpp"

namespace vg::kernels {
namespace {
constexpr WinogradTables tables = {make_winograd_table<float>(), make_winograd_table<double>()};
}
const WinogradTables* const avx512_winograd = &tables;
}
#else
#include "framework/kernels/winograd_table.hpp"
namespace vg::kernels {
const WinogradTables* const avx512_winograd = nullptr;
}
#endif
