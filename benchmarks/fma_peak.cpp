#include "fma_peak.hpp"

#include <immintrin.h>

#include <algorithm>

#include "voxgrad/framework/kernels/dispatch/kernel_set.hpp"

namespace bench {

namespace {

// 12 chains hide a latency of 6 on two ports, and with the factors they fit into 16 registers. The empty asm hides the
// value of a chain from the compiler, so that it can neither merge nor remove chains.
constexpr int chains = 12;

// One function per instruction set, because a template or a lambda does not inherit the target attribute.
#define VOXGRAD_FMA_LOOP(name, isa, Vector, Factor, acc, fma)                    \
  __attribute__((target(isa))) double name(std::int64_t n) {                     \
    Vector sum[chains];                                                          \
    _Pragma("GCC unroll 12") for (int c = 0; c < chains; ++c) sum[c] = Vector{}; \
    Factor factor{};                                                             \
    __asm__ volatile("" : "+" acc(factor));                                      \
    for (std::int64_t i = 0; i < n; ++i) {                                       \
      _Pragma("GCC unroll 12") for (int c = 0; c < chains; ++c) {                \
        sum[c] = fma;                                                            \
        __asm__ volatile("" : "+" acc(sum[c]));                                  \
      }                                                                          \
    }                                                                            \
    return static_cast<double>(sum[0][0]);                                       \
  }

VOXGRAD_FMA_LOOP(avx2_f32, "avx2,fma", __m256, __m256, "x", _mm256_fmadd_ps(factor, factor, sum[c]))
VOXGRAD_FMA_LOOP(avx2_f64, "avx2,fma", __m256d, __m256d, "x", _mm256_fmadd_pd(factor, factor, sum[c]))
VOXGRAD_FMA_LOOP(avx512_f32, "avx512f", __m512, __m512, "v", _mm512_fmadd_ps(factor, factor, sum[c]))
VOXGRAD_FMA_LOOP(avx512_f64, "avx512f", __m512d, __m512d, "v", _mm512_fmadd_pd(factor, factor, sum[c]))
VOXGRAD_FMA_LOOP(avx512_bf16, "avx512f,avx512bf16", __m512, __m512bh, "v", _mm512_dpbf16_ps(sum[c], factor, factor))

}  // namespace

std::vector<FmaLoop> fma_loops() {
  std::vector<FmaLoop> loops;
  const auto add = [&loops](const char* set, const char* dtype, int lanes, double (*run)(std::int64_t)) {
    loops.push_back({set, dtype, 2.0 * lanes * chains, run});
  };
  const auto sets = vg::available_kernel_sets();
  if (std::find(sets.begin(), sets.end(), "avx512") != sets.end()) {
    add("avx512", "f32", 16, avx512_f32);
    add("avx512", "f64", 8, avx512_f64);
    if (__builtin_cpu_supports("avx512bf16")) add("avx512", "bf16", 32, avx512_bf16);
  }
  if (std::find(sets.begin(), sets.end(), "avx2") != sets.end()) {
    add("avx2", "f32", 8, avx2_f32);
    add("avx2", "f64", 4, avx2_f64);
  }
  return loops;
}

}  // namespace bench
