#include "voxgrad/framework/kernels/dispatch/kernel_set.hpp"

#include <atomic>
#include <cstdlib>
#include <mutex>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/kernels/common/kernel_table.hpp"
#include "voxgrad/framework/kernels/depthwise/table.hpp"
#include "voxgrad/framework/kernels/winograd/transforms/table.hpp"

namespace vg {

namespace {

struct Set {
  const char* name;
  const kernels::KernelTables* const* tables;
  const kernels::DepthwiseTables* const* depthwise;
  const kernels::DepthwiseTables* const* half_width_depthwise;  // of half vectors; null if there are none
  const kernels::WinogradTables* const* winograd;               // null if there are none
  const kernels::WinogradTables* const* half_width_winograd;
  bool (*cpu_has)();
};

// __builtin_cpu_supports also checks that the operating system saves the wide registers (xgetbv).
#ifdef VOXGRAD_HAS_AVX2
bool cpu_has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#endif
#ifdef VOXGRAD_HAS_AVX512
bool cpu_has_avx512() {
  return cpu_has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

// Best first.
constexpr Set sets[] = {
#ifdef VOXGRAD_HAS_AVX512
    {"avx512", &kernels::avx512_kernels, &kernels::avx512_depthwise, &kernels::avx2_depthwise,
     &kernels::avx512_winograd, &kernels::avx512_half_width_winograd, cpu_has_avx512},
#endif
#ifdef VOXGRAD_HAS_AVX2
    {"avx2", &kernels::avx2_kernels, &kernels::avx2_depthwise, nullptr, &kernels::avx2_winograd, nullptr, cpu_has_avx2},
#endif
#ifdef VOXGRAD_PORTABLE_WINOGRAD
    {"portable", &kernels::portable_kernels, &kernels::portable_depthwise, nullptr, &kernels::portable_winograd,
     nullptr, [] { return true; }}};
#else
    {"portable", &kernels::portable_kernels, &kernels::portable_depthwise, nullptr, nullptr, nullptr,
     [] { return true; }}};
#endif

const Set& find(const char* where, std::string_view name) {
  std::string names;
  for (const Set& set : sets) {
    if (!set.cpu_has()) continue;
    if (name == set.name) return set;
    names += (names.empty() ? "" : ", ") + std::string(set.name);
  }
  throw ValueError(std::string("[") + where + "] name: got '" + std::string(name) + "'; this CPU can run " + names);
}

std::atomic<const Set*> current{nullptr};

// The first use reads VOXGRAD_KERNELS. A set there that cannot run throws at every use until a set is forced.
const Set& current_set() {
  if (const Set* set = current.load(std::memory_order_acquire)) return *set;
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  if (const Set* set = current.load(std::memory_order_acquire)) return *set;
  const char* const forced = std::getenv("VOXGRAD_KERNELS");
  const Set* chosen = nullptr;
  if (forced != nullptr && *forced != '\0') chosen = &find("VOXGRAD_KERNELS", forced);
  for (const Set& set : sets)
    if (chosen == nullptr && set.cpu_has()) chosen = &set;
  const Set* expected = nullptr;  // a set that was forced meanwhile stays
  current.compare_exchange_strong(expected, chosen);
  return *current.load(std::memory_order_acquire);
}

}  // namespace

std::vector<std::string> compiled_kernel_sets() {
  std::vector<std::string> names;
  for (const Set& set : sets) names.emplace_back(set.name);
  return names;
}

std::vector<std::string> available_kernel_sets() {
  std::vector<std::string> names;
  for (const Set& set : sets)
    if (set.cpu_has()) names.emplace_back(set.name);
  return names;
}

std::string kernel_set() { return current_set().name; }

void use_kernel_set(std::string_view name) { current.store(&find("use_kernel_set", name), std::memory_order_release); }

KernelSetGuard::KernelSetGuard(std::string_view name) : before_(kernel_set()) { use_kernel_set(name); }
KernelSetGuard::~KernelSetGuard() { use_kernel_set(before_); }

const kernels::KernelTables& kernels::current_kernels() { return **current_set().tables; }
bool kernels::has_winograd_tables() { return current_set().winograd != nullptr; }
const kernels::WinogradTables& kernels::current_winograd_tables() { return **current_set().winograd; }
const kernels::WinogradTables* kernels::current_half_width_winograd_tables() {
  const auto half_width = current_set().half_width_winograd;
  return half_width != nullptr ? *half_width : nullptr;
}
const kernels::DepthwiseTables& kernels::current_depthwise() { return **current_set().depthwise; }
const kernels::DepthwiseTables* kernels::current_half_width_depthwise() {
  const auto half_width = current_set().half_width_depthwise;
  return half_width != nullptr ? *half_width : nullptr;
}

}  // namespace vg
