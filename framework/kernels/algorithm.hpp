// Which algorithm Conv3d's passes use. "auto" chooses by shape and CPU; VOXGRAD_CONV3D=name or
// use_conv3d_algorithm(name) keeps to one wherever it applies (the direct one elsewhere): "winograd" is F(2, 3) in each
// dimension with three taps (F(2, 2) with strides of 2), "winograd4" F(4, 3) along D, "winograd4x4x4" F(4, 3) in all of
// three. VOXGRAD_TUNE=1 lets "auto" measure: the first call of a shape runs the direct one and the better of the
// others, and the faster is remembered for the process. Runs may then differ in rounding, as what is faster may.
//
// With each of them a finite value of any size in x or in a gradient reaches only the outputs that meet it: the error
// of the others is within 10 times that of the direct algorithm. An infinity may become a NaN.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace vg {

/// "auto", "direct", "winograd", "winograd4", "winograd4x4x4".
std::vector<std::string> conv3d_algorithms();
/// The one in force.
std::string conv3d_algorithm();
/// For the whole process. Throws ValueError, listing the names, for any other.
void use_conv3d_algorithm(std::string_view name);

/// Forces an algorithm for a scope and restores the one before.
class Conv3dAlgorithmGuard {
 public:
  explicit Conv3dAlgorithmGuard(std::string_view name);
  ~Conv3dAlgorithmGuard();
  Conv3dAlgorithmGuard(const Conv3dAlgorithmGuard&) = delete;
  Conv3dAlgorithmGuard& operator=(const Conv3dAlgorithmGuard&) = delete;

 private:
  std::string before_;
};

namespace kernels {
enum class Algorithm { automatic, direct, winograd, winograd4, winograd4x4x4 };
Algorithm current_algorithm();
}  // namespace kernels

}  // namespace vg
