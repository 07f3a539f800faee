// Max pooling, a row of outputs at a time: a vector of channels and the places of its maxima stay in registers over a
// window. Included only by kernels_*.cpp, after one simd_*.hpp; everything has internal linkage.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "framework/kernels/kernel_table.hpp"

namespace vg::kernels {
namespace {

/// N numbers, and as many integers of their width: the compiler's vectors, for they can be compared and chosen from.
template <class T, int N>
struct Numbers {
  using Integer = std::conditional_t<sizeof(T) == sizeof(std::int32_t), std::int32_t, std::int64_t>;
  typedef T V __attribute__((vector_size(N * sizeof(T))));
  typedef Integer I __attribute__((vector_size(N * sizeof(T))));
  static V load(const T* p) {
    V a;
    std::memcpy(&a, p, sizeof a);
    return a;
  }
  static void store(T* p, V a) { std::memcpy(p, &a, sizeof a); }
  static I load_places(const std::int32_t* p) {
    if constexpr (sizeof(Integer) == sizeof(std::int32_t)) {
      I a;
      std::memcpy(&a, p, sizeof a);
      return a;
    } else {
      I a{};
      for (int i = 0; i < N; ++i) a[i] = p[i];
      return a;
    }
  }
  static void store_places(std::int32_t* p, I a) {
    if constexpr (sizeof(Integer) == sizeof(std::int32_t))
      std::memcpy(p, &a, sizeof a);
    else
      for (int i = 0; i < N; ++i) p[i] = static_cast<std::int32_t>(a[i]);
  }
};

/// f(voxel) for those of output o's window, in row-major order.
template <class F>
inline __attribute__((always_inline)) void each_voxel(const PoolRow& r, std::int64_t o, const F& f) {
  for (std::int64_t h = r.h_begin; h < r.h_end; ++h)
    for (std::int64_t w = r.w_begin; w < r.w_end; ++w)
      for (std::int64_t d = r.d_begin[o]; d < r.d_end[o]; ++d) f((h * r.in_w + w) * r.in_d + d);
}

/// f(N numbers, channel) for all channels, by vectors, halves and single ones.
template <class T, class F>
inline void each_channels(std::int64_t channels, const F& f) {
  constexpr int whole = Simd<T>::lanes, half = whole / 2;
  std::int64_t c = 0;
  for (; c + whole <= channels; c += whole) f(Numbers<T, whole>(), c);
  if (c + half <= channels) {
    f(Numbers<T, half>(), c);
    c += half;
  }
  for (; c < channels; ++c) f(Numbers<T, 1>(), c);
}

template <class T>
void max_pool_row(const PoolRow& r, const T* x, T* y, std::int32_t* places) {
  each_channels<T>(r.channels, [&](auto numbers, std::int64_t c) {
    using N = decltype(numbers);
    using Integer = typename N::Integer;
    for (std::int64_t o = 0; o < r.outputs; ++o) {
      typename N::V best{};
      typename N::I at{};
      bool first = true;
      each_voxel(
          r, o, [&](std::int64_t voxel) __attribute__((always_inline)) {
            const typename N::V a = N::load(x + voxel * r.channels + c);
            const typename N::I here = typename N::I{} + static_cast<Integer>(voxel);
            const typename N::I better = first ? here == here : (a > best) | (a != a);  // NaN wins
            best = better ? a : best;
            at = better ? here : at;
            first = false;
          });
      N::store(y + o * r.channels + c, best);
      if (places != nullptr) N::store_places(places + o * r.channels + c, at);
    }
  });
}

template <class T>
void max_unpool_row(const PoolRow& r, const T* dy, const std::int32_t* places, T* dx) {
  each_channels<T>(r.channels, [&](auto numbers, std::int64_t c) {
    using N = decltype(numbers);
    for (std::int64_t o = 0; o < r.outputs; ++o) {
      const typename N::V g = N::load(dy + o * r.channels + c);
      const typename N::I at = N::load_places(places + o * r.channels + c);
      each_voxel(
          r, o, [&](std::int64_t voxel) __attribute__((always_inline)) {
            const typename N::I here = typename N::I{} + static_cast<typename N::Integer>(voxel);
            N::store(dx + voxel * r.channels + c, at == here ? g : typename N::V{});
          });
    }
  });
}

}  // namespace
}  // namespace vg::kernels
