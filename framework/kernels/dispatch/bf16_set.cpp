#include "voxgrad/framework/kernels/dispatch/bf16_set.hpp"

#include <array>
#include <iterator>

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

constexpr auto bf16_entries = [] {
  std::array<kernels::Choice::Entry, std::size(bf16_sets)> made{};
  for (std::size_t i = 0; i < made.size(); ++i) made[i] = {bf16_sets[i].name, bf16_sets[i].available};
  return made;
}();
constinit kernels::Choice bf16_choice("VOXGRAD_BF16_KERNELS", "use_bf16_kernel_set", bf16_entries);

const Bf16Set& current_bf16_set() {
  if (const int forced = bf16_choice.forced(); forced != kernels::Choice::none) return bf16_sets[forced];
  return kernel_set() == "avx512" ? bf16_sets[bf16_choice.best()] : *emulated;
}

}  // namespace

std::vector<std::string> available_bf16_kernel_sets() { return bf16_choice.names(); }
std::string bf16_kernel_set() { return current_bf16_set().name; }
void use_bf16_kernel_set(std::string_view name) { bf16_choice.use(name); }
Bf16KernelSetGuard::Bf16KernelSetGuard(std::string_view name) : Guard(bf16_choice, name) {}

const kernels::Bf16Kernels* kernels::current_bf16_kernels() { return current_bf16_set().kernels(); }

}  // namespace vg
