// The set that every CPU runs.
#include "framework/kernels/simd_scalar.hpp"
// after the Simd that the bodies use
#include "framework/kernels/body_winograd_weights.hpp"

namespace vg::kernels {
namespace {
constexpr WinogradTables tables = {make_winograd_table<float>(), make_winograd_table<double>()};
}
const WinogradTables* const scalar_winograd = &tables;
}
