#include "voxgrad/framework/kernels/dispatch/bf16_set.hpp"

#include <atomic>
#include <cstdlib>
#include <iterator>
#include <mutex>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/kernels/common/kernel_table.hpp"
#include "voxgrad/framework/kernels/dispatch/kernel_set.hpp"

#if defined(VOXGRAD_HAS_AVX512) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace vg {

namespace {

using kernels::Bf16Kernels;

#ifdef VOXGRAD_HAS_AVX512
bool cpu_has_avx512_bf16() {
  // the check of avx512f includes the support of the operating system
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512bf16");
}

// Whether the CPU has the instructions, the system saves the tiles (XCR0), and it lets this process use them.
bool cpu_has_amx() {
#if defined(__linux__)
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d) || (c >> 27 & 1U) == 0) return false;  // without OSXSAVE there is no xgetbv
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d >> 24 & d >> 22 & 1U) == 0) return false;
  unsigned low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  if ((low >> 17 & 3U) != 3U) return false;
  constexpr long request_permission = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILE_DATA
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
  return false;
#endif
}

// Constructed at the first use, which detects the features of the CPU.
struct Tables {
  bool avx512 = cpu_has_avx512_bf16();
  bool amx = avx512 && cpu_has_amx();
  Bf16Kernels amx_kernels{};
  Tables() {
    if (!amx) return;
    amx_kernels = *kernels::avx512_bf16_kernels;
    amx_kernels.igemm_tiles = kernels::amx_igemm_tiles;
  }
};

const Tables& tables() {
  static const Tables t;
  return t;
}
#endif

struct Bf16Set {
  const char* name;
  bool (*available)();
  const Bf16Kernels* (*kernels)();
};

// Best first. The automatic choice takes "emulated" at the latest, so "portable" runs only if it is forced.
constexpr Bf16Set bf16_sets[] = {
#ifdef VOXGRAD_HAS_AVX512
    {"amx", [] { return tables().amx; }, [] { return &tables().amx_kernels; }},
    {"avx512bf16", [] { return tables().avx512; }, [] { return kernels::avx512_bf16_kernels; }},
#endif
    {"emulated", [] { return true; }, []() -> const Bf16Kernels* { return nullptr; }},
    {"portable", [] { return true; }, [] { return kernels::portable_bf16_kernels; }}};
constexpr const Bf16Set* emulated = std::end(bf16_sets) - 2;

const Bf16Set* find_bf16_set(const char* where, std::string_view name) {
  if (name.empty()) return nullptr;
  std::string names;
  for (const Bf16Set& set : bf16_sets) {
    if (!set.available()) continue;
    if (name == set.name) return &set;
    names += (names.empty() ? "" : ", ") + std::string(set.name);
  }
  throw ValueError(std::string("[") + where + "] name: got '" + std::string(name) + "'; this CPU can run " + names);
}

std::atomic<bool> decided{false};
std::atomic<const Bf16Set*> forced_bf16_set{nullptr};  // null if none is forced

// The first use reads VOXGRAD_BF16_KERNELS. A set there that cannot run throws at every use until a set is forced.
const Bf16Set* forced_bf16() {
  if (!decided.load(std::memory_order_acquire)) {
    static std::mutex mutex;
    const std::lock_guard lock(mutex);
    if (!decided.load(std::memory_order_acquire)) {
      const char* const name = std::getenv("VOXGRAD_BF16_KERNELS");
      if (name != nullptr)
        forced_bf16_set.store(find_bf16_set("VOXGRAD_BF16_KERNELS", name), std::memory_order_release);
      decided.store(true, std::memory_order_release);
    }
  }
  return forced_bf16_set.load(std::memory_order_acquire);
}

const Bf16Set& current_bf16_set() {
  if (const Bf16Set* set = forced_bf16()) return *set;
  if (kernel_set() != "avx512") return *emulated;
  const Bf16Set* set = bf16_sets;
  while (!set->available()) ++set;
  return *set;
}

}  // namespace

std::vector<std::string> available_bf16_kernel_sets() {
  std::vector<std::string> names;
  for (const Bf16Set& set : bf16_sets)
    if (set.available()) names.emplace_back(set.name);
  return names;
}

std::string bf16_kernel_set() { return current_bf16_set().name; }

void use_bf16_kernel_set(std::string_view name) {
  const Bf16Set* const set = find_bf16_set("use_bf16_kernel_set", name);
  forced_bf16_set.store(set, std::memory_order_release);
  decided.store(true, std::memory_order_release);
}

Bf16KernelSetGuard::Bf16KernelSetGuard(std::string_view name) {
  if (const Bf16Set* set = forced_bf16()) before_ = set->name;
  use_bf16_kernel_set(name);
}
Bf16KernelSetGuard::~Bf16KernelSetGuard() { use_bf16_kernel_set(before_); }

const kernels::Bf16Kernels* kernels::current_bf16_kernels() { return current_bf16_set().kernels(); }

}  // namespace vg
