#include "voxgrad/framework/kernels/algorithm.hpp"

#include <array>
#include <atomic>
#include <cstdlib>

#include "voxgrad/framework/base/error.hpp"

namespace vg {

namespace {

using kernels::Algorithm;

constexpr std::array<const char*, 5> names = {"auto", "direct", "winograd", "winograd4", "winograd4x4x4"};
constexpr int undecided = -1;
std::atomic<int> current{undecided};

int find(const char* where, std::string_view name) {
  for (std::size_t i = 0; i < names.size(); ++i)
    if (name == names[i]) return static_cast<int>(i);
  throw ValueError(std::string("[") + where + "] name: got '" + std::string(name) +
                   "'; must be auto, direct, winograd, winograd4 or winograd4x4x4");
}

// The first use reads VOXGRAD_CONV3D. An unknown name there throws at every use until an algorithm is forced.
int index_in_force() {
  int index = current.load(std::memory_order_acquire);
  if (index != undecided) return index;
  const char* const forced = std::getenv("VOXGRAD_CONV3D");
  const int chosen = forced != nullptr && *forced != '\0' ? find("VOXGRAD_CONV3D", forced) : 0;
  int expected = undecided;  // an algorithm that was forced meanwhile stays
  current.compare_exchange_strong(expected, chosen);
  return current.load(std::memory_order_acquire);
}

}  // namespace

std::vector<std::string> conv3d_algorithms() { return {names.begin(), names.end()}; }

std::string conv3d_algorithm() { return names[static_cast<std::size_t>(index_in_force())]; }

void use_conv3d_algorithm(std::string_view name) {
  current.store(find("use_conv3d_algorithm", name), std::memory_order_release);
}

Conv3dAlgorithmGuard::Conv3dAlgorithmGuard(std::string_view name) : before_(conv3d_algorithm()) {
  use_conv3d_algorithm(name);
}
Conv3dAlgorithmGuard::~Conv3dAlgorithmGuard() { use_conv3d_algorithm(before_); }

kernels::Algorithm kernels::current_algorithm() { return static_cast<Algorithm>(index_in_force()); }

}  // namespace vg
