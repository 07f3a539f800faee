// Which algorithm the passes of Conv3d use. "auto" chooses by shape and CPU. VOXGRAD_CONV3D=name or
// use_conv3d_algorithm(name) forces one wherever it applies; elsewhere the direct algorithm runs. "winograd" is F(2, 3)
// in each dimension with three taps (F(2, 2) with strides of 2), "winograd4" is F(4, 3) along D, and "winograd4x4x4" is
// F(4, 3) in all three, for f32 only: f64 takes "winograd" in its place, which is faster there. With VOXGRAD_TUNE=1,
// "auto" measures: the first call of a shape runs the direct algorithm and the best other one, and the process
// remembers the faster. Two runs may then choose and round differently.
//
// With every algorithm, a finite value of any size in x or in a gradient reaches only the outputs that depend on it:
// the error of all others is within 10 times that of the direct algorithm. An infinity may become a NaN.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "voxgrad/framework/kernels/dispatch/choice.hpp"

namespace vg {

/// The names: "auto", "direct", "winograd", "winograd4", "winograd4x4x4".
std::vector<std::string> conv3d_algorithms();
/// The name in force. Throws ValueError if VOXGRAD_CONV3D has an unknown name and none was forced.
std::string conv3d_algorithm();
/// Forces an algorithm for the whole process; "auto" or "" ends that. Throws ValueError, listing the names, for any
/// other.
void use_conv3d_algorithm(std::string_view name);

/// Forces an algorithm for a scope and then restores the previous one. Throws as use_conv3d_algorithm.
class Conv3dAlgorithmGuard : kernels::Choice::Guard {
 public:
  explicit Conv3dAlgorithmGuard(std::string_view name);
};

namespace kernels {
enum class Algorithm { automatic, direct, winograd, winograd4, winograd4x4x4 };
Algorithm current_algorithm();
}  // namespace kernels

}  // namespace vg
