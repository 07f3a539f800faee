// The kernels of dense, grouped and pointwise passes, compiled once per instruction set (cmake/kernels.cmake).
#include "voxgrad/framework/kernels/simd/target.hpp"
// comes after the vectors that it uses
#include "voxgrad/framework/kernels/dispatch/table-inl.hpp"

namespace vg::kernels {
const KernelTables* const VOXGRAD_OF_TARGET(kernels) = &tables;
}
