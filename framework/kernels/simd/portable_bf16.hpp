// bf16 pairs in the compiler's portable vectors. They are slow and serve to test pairs on a CPU without bf16. Included
// only by kernels_portable.cpp. Everything has internal linkage.
#pragma once

#include "voxgrad/framework/kernels/common/kernel_table.hpp"
#include "voxgrad/framework/kernels/simd/portable.hpp"

namespace vg::kernels {
namespace {

/// A V holds pairs if it is an operand, and floats if it is a sum.
template <>
struct Simd<Bf16Pair> : Simd<float> {
  using Floats = Simd<float>;
  typedef std::uint32_t Bits __attribute__((vector_size(16)));
  using Floats::load;
  using Floats::load_first;
  static V set1(Bf16Pair a) { return (V)(Bits{} + static_cast<std::uint32_t>(a)); }
  static V load(const Bf16Pair* p) {
    V a;
    __builtin_memcpy(&a, p, sizeof a);
    return a;
  }
  static V load_first(const Bf16Pair* p, std::int64_t n) {
    Bits a{};
    for (std::int64_t i = 0; i < n; ++i) a[i] = static_cast<std::uint32_t>(p[i]);
    return (V)a;
  }
  using Floats::store;
  using Floats::store_first;
  static void store(Bf16Pair* p, V a) { __builtin_memcpy(p, &a, sizeof a); }
  static void store_first(Bf16Pair* p, V a, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) p[i] = static_cast<Bf16Pair>(((Bits)a)[i]);
  }
  static V first(V a) { return (V)((Bits)a << 16); }
  static V second(V a) { return (V)((Bits)a & 0xffff0000U); }
  /// c + a b, where each lane adds both products of its pairs.
  static V fma(V a, V b, V c) { return c + first(a) * first(b) + second(a) * second(b); }
  /// a rounded to bf16, which is in the high half of each lane.
  static Bits rounded(V a) {
    const Bits u = (Bits)a;
    const Bits even = u + 0x7fffU + ((u >> 16) & 1U);
    const Bits is_nan = (Bits)((u & 0x7fffffffU) > 0x7f800000U);
    return ((is_nan & (u | 0x00400000U)) | (~is_nan & even)) & 0xffff0000U;
  }
  /// Lane i is (a[i], b[i]).
  static V pair(V a, V b) { return (V)(rounded(b) | (rounded(a) >> 16)); }
  /// Pairs of neighbours among the 2 * lanes floats of low followed by high.
  static V adjacent(V low, V high) {
    return pair(V{low[0], low[2], high[0], high[2]}, V{low[1], low[3], high[1], high[3]});
  }
  /// Tracks whether all pairs so far are finite.
  using Finite = Bits;
  static Finite finite() { return Bits{}; }
  static Finite finite(Finite before, V pairs) {
    const Bits u = (Bits)pairs;
    return before | (Bits)((u & 0x7f800000U) == 0x7f800000U) | (Bits)((u & 0x7f80U) == 0x7f80U);
  }
  static bool all(Finite f) { return (f[0] | f[1] | f[2] | f[3]) == 0; }
};

}  // namespace
}  // namespace vg::kernels
