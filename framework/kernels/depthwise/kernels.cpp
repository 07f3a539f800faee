// The depthwise kernels, compiled once per instruction set (cmake/kernels.cmake).
#include "voxgrad/framework/kernels/simd/target.hpp"
// comes after the vectors that it uses
#include "voxgrad/framework/kernels/depthwise/depthwise-inl.hpp"

namespace vg::kernels {
const DepthwiseTables* const VOXGRAD_OF_TARGET(depthwise) = &depthwise_tables;
}
