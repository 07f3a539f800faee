// The bf16 passes with AVX512-BF16, compiled with its flags (cmake/kernels.cmake).
#include "voxgrad/framework/kernels/simd/avx512bf16.hpp"
// comes after the Simd that it uses
#include "voxgrad/framework/kernels/bf16/pairs-inl.hpp"

namespace vg::kernels {
namespace {
constexpr Bf16Kernels table = make_bf16_kernels(nullptr);
}
const Bf16Kernels* const avx512_bf16_kernels = &table;
}  // namespace vg::kernels
