#include "voxgrad/framework/kernels/dispatch/kernel_set.hpp"

#include <array>
#include <iterator>

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

constexpr auto entries = [] {
  std::array<kernels::Choice::Entry, std::size(sets)> made{};
  for (std::size_t i = 0; i < made.size(); ++i) made[i] = {sets[i].name, sets[i].cpu_has};
  return made;
}();
constinit kernels::Choice choice("VOXGRAD_KERNELS", "use_kernel_set", entries);

const Set& current_set() {
  static const int best = choice.best();
  const int forced = choice.forced();
  return sets[forced != kernels::Choice::none ? forced : best];
}

}  // namespace

std::vector<std::string> compiled_kernel_sets() {
  std::vector<std::string> names;
  for (const Set& set : sets) names.emplace_back(set.name);
  return names;
}

std::vector<std::string> available_kernel_sets() { return choice.names(); }
std::string kernel_set() { return current_set().name; }
void use_kernel_set(std::string_view name) { choice.use(name); }
KernelSetGuard::KernelSetGuard(std::string_view name) : Guard(choice, name) {}

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
