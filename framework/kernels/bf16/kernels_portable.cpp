// bf16 pairs, and tiles of them, on any CPU: for tests.
#include "voxgrad/framework/kernels/simd/portable_bf16.hpp"
// after the Simd that the bodies use
#include "voxgrad/framework/kernels/bf16/pairs-inl.hpp"
#include "voxgrad/framework/kernels/bf16/portable_tiles.hpp"
#include "voxgrad/framework/kernels/bf16/tiles-inl.hpp"

namespace vg::kernels {
namespace {
constexpr Bf16Kernels table = make_bf16_kernels(igemm_tiles<PortableTiles>);
}
const Bf16Kernels* const portable_bf16_kernels = &table;
}  // namespace vg::kernels
