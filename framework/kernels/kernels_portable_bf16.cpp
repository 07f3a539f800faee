// bf16 pairs, and tiles of them, on any CPU: for tests.
#include "framework/kernels/simd_portable_bf16.hpp"
// after the Simd that the bodies use
#include "framework/kernels/body_bf16.hpp"
#include "framework/kernels/body_tiles.hpp"
#include "framework/kernels/tiles_portable.hpp"

namespace vg::kernels {
namespace {
constexpr Bf16Kernels table = make_bf16_kernels(gather_tiles<PortableTiles>);
}
const Bf16Kernels* const portable_bf16_kernels = &table;
}  // namespace vg::kernels
