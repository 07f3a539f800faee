// Products per point of convolutions with groups (real-inl.hpp has the transforms). Included only by
// winograd/transforms/kernels.cpp; everything has internal linkage.
//
// The outputs of a group are one or a few vectors, and the sum over its inputs is short (8 terms with 8 channels per
// group). One call per group would take longer than its products, so one call computes all groups and tiles of a point.
// A register tile is 8 tiles by one vector of outputs; inputs are broadcast from L1. With 32 registers the weights of a
// group of 8 stay in registers for all tiles. Each tile then begins its sum one input after the previous tile, so that
// values loaded together lie in different banks of L1 (groups of 8, 32^3: 8.7 -> 8.1 ms).
#pragma once

#include <cstdint>

#include "voxgrad/framework/kernels/winograd/transforms/real-inl.hpp"

namespace vg::kernels {
namespace {

constexpr int group_tiles = 8, held_inputs = 8;

template <class T, int Tiles, class Io>
inline __attribute__((always_inline)) void group_tile(const GroupedProductArgs<T>& a, const T* v, const T* u, T* m,
                                                      const Io& io) {
  using S = Simd<T>;
  const std::int64_t v_ld = a.v_ld, u_ld = a.u_ld, m_ld = a.m_ld, in = a.in;
  typename S::V sum[Tiles];
#pragma GCC unroll 8
  for (int t = 0; t < Tiles; ++t) sum[t] = S::zero();
  for (std::int64_t k = 0; k < in; ++k, u += u_ld, ++v) {
    const typename S::V w = S::keep_in_register(S::load(u));
#pragma GCC unroll 8
    for (int t = 0; t < Tiles; ++t) sum[t] = S::fma(S::set1(v[t * v_ld]), w, sum[t]);
  }
#pragma GCC unroll 8
  for (int t = 0; t < Tiles; ++t) io.store(m + t * m_ld, sum[t]);
}

template <class T, class Io>
__attribute__((noinline)) void group_column(const GroupedProductArgs<T>& a, const T* v, const T* u, T* m,
                                            const Io& io) {
  std::int64_t t = 0;
  for (; t + group_tiles <= a.tiles; t += group_tiles)
    group_tile<T, group_tiles>(a, v + t * a.v_ld, u, m + t * a.m_ld, io);
  for (; t + 2 <= a.tiles; t += 2) group_tile<T, 2>(a, v + t * a.v_ld, u, m + t * a.m_ld, io);
  if (t < a.tiles) group_tile<T, 1>(a, v + t * a.v_ld, u, m + t * a.m_ld, io);
}

template <class T, int Tiles, class Io>
inline __attribute__((always_inline)) void held_tile(const GroupedProductArgs<T>& a, const T* v,
                                                     const typename Simd<T>::V (&w)[held_inputs], T* m, const Io& io) {
  using S = Simd<T>;
  const std::int64_t v_ld = a.v_ld, m_ld = a.m_ld;
  typename S::V sum[Tiles];
#pragma GCC unroll 8
  for (int t = 0; t < Tiles; ++t) sum[t] = S::zero();
#pragma GCC unroll 8
  for (int i = 0; i < held_inputs; ++i)
#pragma GCC unroll 8
    for (int t = 0; t < Tiles; ++t) {
      const int k = (i + t) % held_inputs;
      sum[t] = S::fma(S::set1(v[t * v_ld + k]), w[k], sum[t]);
    }
#pragma GCC unroll 8
  for (int t = 0; t < Tiles; ++t) io.store(m + t * m_ld, sum[t]);
}

template <class T, class Io>
__attribute__((noinline)) void held_column(const GroupedProductArgs<T>& a, const T* v, const T* u, T* m, const Io& io) {
  using S = Simd<T>;
  typename S::V w[held_inputs];
#pragma GCC unroll 8
  for (int k = 0; k < held_inputs; ++k) w[k] = S::keep_in_register(S::load(u + k * a.u_ld));
  std::int64_t t = 0;
  for (; t + group_tiles <= a.tiles; t += group_tiles)
    held_tile<T, group_tiles>(a, v + t * a.v_ld, w, m + t * a.m_ld, io);
  for (; t < a.tiles; ++t) held_tile<T, 1>(a, v + t * a.v_ld, w, m + t * a.m_ld, io);
}

template <class T>
void winograd_groups(const GroupedProductArgs<T>& a) {
  const bool held = Simd<T>::registers == 32 && a.in == held_inputs;
  for (std::int64_t g = 0; g < a.groups; ++g)
    each_vector<T>(a.out, [&](std::int64_t c, auto io) {
      const std::int64_t column = g * a.out + c;
      const auto run = held ? held_column<T, decltype(io)> : group_column<T, decltype(io)>;
      run(a, a.v + g * a.in, a.u + column, a.m + column, io);
    });
}

}  // namespace
}  // namespace vg::kernels
