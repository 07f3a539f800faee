#include "voxgrad/framework/kernels/algorithm.hpp"

#include <algorithm>

namespace vg {

namespace {
bool always() { return true; }
constexpr kernels::Choice::Entry algorithms[] = {
    {"auto", always}, {"direct", always}, {"winograd", always}, {"winograd4", always}, {"winograd4x4x4", always}};
constinit kernels::Choice algorithm_choice("VOXGRAD_CONV3D", "use_conv3d_algorithm", algorithms);
}  // namespace

kernels::Algorithm kernels::current_algorithm() {
  return static_cast<Algorithm>(std::max(0, algorithm_choice.forced()));
}

std::vector<std::string> conv3d_algorithms() { return algorithm_choice.names(); }
std::string conv3d_algorithm() { return algorithms[static_cast<int>(kernels::current_algorithm())].name; }
void use_conv3d_algorithm(std::string_view name) { algorithm_choice.use(name); }
Conv3dAlgorithmGuard::Conv3dAlgorithmGuard(std::string_view name) : Guard(algorithm_choice, name) {}

}  // namespace vg
