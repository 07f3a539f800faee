// Compiled with the flags of kernels_avx512.cpp and -mavx512bf16; without them the set does not exist.
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__) && \
    defined(__AVX512BF16__)
#include "framework/kernels/simd_avx512bf16.hpp"
// after the Simd that the bodies use
#include "framework/kernels/body_bf16.hpp"

namespace vg::kernels {
namespace {
constexpr Bf16Kernels table = make_bf16_kernels(nullptr);
}
const Bf16Kernels* const avx512_bf16_kernels = &table;
}  // namespace vg::kernels
#else
#include "framework/kernels/kernel_table.hpp"
namespace vg::kernels {
const Bf16Kernels* const avx512_bf16_kernels = nullptr;
}
#endif
