// Max pooling of one row of outputs at a time: a vector of channels and the places of its maxima stay in registers over
// a window. Included only by kernels.cpp, after one header of simd/. Everything has internal linkage.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "voxgrad/framework/kernels/common/kernel_table.hpp"

namespace vg::kernels {
namespace {

/// N numbers, and N integers of their width, in the compiler's vectors, which support comparison and selection.
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

/// Calls f(voxel) for the voxels of output o's window, in row-major order.
template <class F>
inline __attribute__((always_inline)) void each_voxel(const PoolRow& r, std::int64_t o, const F& f) {
  for (std::int64_t h = r.h_begin; h < r.h_end; ++h)
    for (std::int64_t w = r.w_begin; w < r.w_end; ++w)
      for (std::int64_t d = r.d_begin[o]; d < r.d_end[o]; ++d) f((h * r.in_w + w) * r.in_d + d);
}

/// Calls f(Numbers, channel) for all channels: in whole vectors, then half a vector, then single channels.
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

/// The offsets of the voxels of a 2 x 2 x 2 window, the usual size, from the first one.
class Cube {
 public:
  explicit Cube(const PoolRow& r) : fits_(r.h_end - r.h_begin == 2 && r.w_end - r.w_begin == 2) {
    for (std::int64_t k = 0; k < 8; ++k) {
      offset_[k] = (k / 4 * r.in_w + k / 2 % 2) * r.in_d + k % 2;
      elements_[k] = offset_[k] * r.channels;
    }
    first_ = (r.h_begin * r.in_w + r.w_begin) * r.in_d;
  }
  bool is(const PoolRow& r, std::int64_t o) const { return fits_ && r.d_end[o] - r.d_begin[o] == 2; }
  std::int64_t first(const PoolRow& r, std::int64_t o) const { return first_ + r.d_begin[o]; }
  std::int64_t offset(int k) const { return offset_[k]; }
  std::int64_t elements(int k) const { return elements_[k]; }

 private:
  bool fits_;
  std::int64_t first_, offset_[8], elements_[8];
};

/// The maximum of a window so far, and its place. A NaN counts as the maximum.
template <class N>
struct Best {
  typename N::V value;
  typename N::I at;
  __attribute__((always_inline)) void meet(typename N::V a, typename N::I here) {
    const typename N::I better = (a > value) | (a != a);
    value = better ? a : value;
    at = better ? here : at;
  }
};

/// The place of a voxel, in all lanes.
template <class N>
inline typename N::I place_of(std::int64_t voxel) {
  return typename N::I{} + static_cast<typename N::Integer>(voxel);
}

template <class T>
void max_pool_row(const PoolRow& r, const T* x, T* y, std::int32_t* places) {
  const Cube cube(r);
  each_channels<T>(r.channels, [&](auto numbers, std::int64_t c) {
    using N = decltype(numbers);
    for (std::int64_t o = 0; o < r.outputs; ++o) {
      Best<N> best{};
      if (cube.is(r, o)) {
        const std::int64_t first = cube.first(r, o);
        const T* const from = x + first * r.channels + c;
        best = {N::load(from), place_of<N>(0)};
#pragma GCC unroll 7
        for (int k = 1; k < 8; ++k) best.meet(N::load(from + cube.elements(k)), place_of<N>(cube.offset(k)));
        best.at += place_of<N>(first);
      } else {
        bool is_first = true;
        each_voxel(
            r, o, [&](std::int64_t voxel) __attribute__((always_inline)) {
              const typename N::V a = N::load(x + voxel * r.channels + c);
              if (is_first)
                best = {a, place_of<N>(voxel)};
              else
                best.meet(a, place_of<N>(voxel));
              is_first = false;
            });
      }
      N::store(y + o * r.channels + c, best.value);
      if (places != nullptr) N::store_places(places + o * r.channels + c, best.at);
    }
  });
}

template <class T>
void max_unpool_row(const PoolRow& r, const T* dy, const std::int32_t* places, T* dx) {
  const Cube cube(r);
  each_channels<T>(r.channels, [&](auto numbers, std::int64_t c) {
    using N = decltype(numbers);
    const auto put = [&](T * to, std::int64_t voxel, typename N::V g, typename N::I at) __attribute__((always_inline)) {
      const typename N::I here = place_of<N>(voxel);
      N::store(to, at == here ? g : typename N::V{});
    };
    for (std::int64_t o = 0; o < r.outputs; ++o) {
      const typename N::V g = N::load(dy + o * r.channels + c);
      const typename N::I at = N::load_places(places + o * r.channels + c);
      if (cube.is(r, o)) {
        const std::int64_t first = cube.first(r, o);
#pragma GCC unroll 8
        for (int k = 0; k < 8; ++k) put(dx + first * r.channels + c + cube.elements(k), first + cube.offset(k), g, at);
      } else {
        each_voxel(
            r, o, [&](std::int64_t voxel) __attribute__((always_inline)) {
              put(dx + voxel * r.channels + c, voxel, g, at);
            });
      }
    }
  });
}

}  // namespace
}  // namespace vg::kernels
