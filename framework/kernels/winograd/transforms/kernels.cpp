// Winograd's transforms, compiled once per instruction set (cmake/kernels.cmake). VOXGRAD_HALF_WIDTH is AVX2's code
// with AVX-512's registers, for groups of few channels: they have no grad_weight.
#include "voxgrad/framework/kernels/simd/target.hpp"
// after the vectors that it uses
#include "voxgrad/framework/kernels/winograd/transforms/table-inl.hpp"

namespace vg::kernels {
namespace {
#ifdef VOXGRAD_HALF_WIDTH
constexpr WinogradTables tables = {make_gather_table<false, float>(), make_gather_table<false, double>()};
#else
constexpr WinogradTables tables = {make_winograd_table<float>(), make_winograd_table<double>()};
#endif
}  // namespace
const WinogradTables* const VOXGRAD_OF_TARGET(winograd) = &tables;
}  // namespace vg::kernels
