// Compiled as kernels_avx2.cpp.
#if defined(__AVX2__) && defined(__FMA__)
#include "framework/kernels/simd_avx2.hpp"
// after the Simd that the bodies use
#include "framework/kernels/body_winograd_weights.hpp"

namespace vg::kernels {
namespace {
constexpr WinogradTables tables = {make_winograd_table<float>(), make_winograd_table<double>()};
}
const WinogradTables* const avx2_winograd = &tables;
}
#else
#include "framework/kernels/winograd_table.hpp"
namespace vg::kernels {
const WinogradTables* const avx2_winograd = nullptr;
}
#endif
