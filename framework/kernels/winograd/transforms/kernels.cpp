// Winograd's transforms, compiled once per instruction set (cmake/kernels.cmake). With VOXGRAD_HALF_WIDTH they use
// vectors of AVX2's length with AVX-512's registers, for few channels per group; groups have no grad_weight here.
#include "voxgrad/framework/kernels/simd/target.hpp"
// must follow target.hpp, whose vectors it uses
#include "voxgrad/framework/kernels/winograd/transforms/table-inl.hpp"

namespace vg::kernels {
namespace {
#ifdef VOXGRAD_HALF_WIDTH
constexpr WinogradTables tables = {make_data_pass_table<false, float>(), {}};  // in f64 whole vectors are as fast
#else
constexpr WinogradTables tables = {make_winograd_table<float>(), make_winograd_table<double>()};
#endif
}  // namespace
const WinogradTables* const VOXGRAD_OF_TARGET(winograd) = &tables;
}  // namespace vg::kernels
