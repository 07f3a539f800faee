// The bf16 passes with pairs and tiles on any CPU, for tests.
#include "voxgrad/framework/kernels/simd/portable_bf16.hpp"
// comes after the Simd that it uses
#include "voxgrad/framework/kernels/bf16/pairs-inl.hpp"
#include "voxgrad/framework/kernels/bf16/portable_tiles.hpp"
#include "voxgrad/framework/kernels/bf16/tiles-inl.hpp"

namespace vg::kernels {
namespace {
constexpr Bf16Kernels table = make_bf16_kernels(igemm_tiles<PortableTiles>);
}
const Bf16Kernels* const portable_bf16_kernels = &table;
}  // namespace vg::kernels
