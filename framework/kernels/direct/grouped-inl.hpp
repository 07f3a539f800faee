// Small groups: lanes run over the output channels of several groups, so that none is idle. Included only by
// kernels.cpp, after dense-inl.hpp. Everything has internal linkage.
//
// For the q-th input channel of the groups, the operand of a vector of output channels is a permutation of one or two
// vectors of input channels. It is the same for all positions and taps: one load, then per q a permutation and an FMA.
//  * data pass: MR outputs are in flight, each with its input vectors in registers.
//  * weight: for one q, a tile of MR taps x one vector of output channels is summed over the positions.
#pragma once

#include <cstdint>

#include "voxgrad/framework/kernels/common/kernel_table.hpp"
#include "voxgrad/framework/kernels/direct/dense-inl.hpp"

namespace vg::kernels {
namespace {

/// The input channels of the output channels [c, c + n), and the one that each lane uses.
template <class T>
struct Span {
  static constexpr int lanes = Simd<T>::lanes;
  std::int64_t first, size;  ///< input channels
  std::int32_t lane[lanes];  ///< for q = 0; index adds q

  Span(std::int64_t c, std::int64_t n, std::int64_t group_in, std::int64_t group_out)
      : first(c / group_out * group_in), size(((c + n - 1) / group_out + 1) * group_in - first) {
    for (int l = 0; l < lanes; ++l)
      lane[l] = l < n ? static_cast<std::int32_t>((c + l) / group_out * group_in - first) : 0;
  }
  typename Simd<T>::Index index(std::int64_t q) const {
    std::int32_t at[lanes];
    for (int l = 0; l < lanes; ++l) at[l] = lane[l] + static_cast<std::int32_t>(q);
    return Simd<T>::index(at);
  }
};

/// The channels of a span in one or two vectors.
template <class T, bool Two>
struct Channels {
  using S = Simd<T>;
  typename S::V a, b;
  inline __attribute__((always_inline)) void load(const T* p, std::int64_t size) {
    a = Two || size == S::lanes ? S::load(p) : S::load_first(p, size);
    if constexpr (Two) b = size == 2 * S::lanes ? S::load(p + S::lanes) : S::load_first(p + S::lanes, size - S::lanes);
  }
  inline __attribute__((always_inline)) typename S::V permuted(typename S::Index i) const {
    if constexpr (Two)
      return S::permute(a, b, i);
    else
      return S::permute(a, i);
  }
};

template <class T>
inline typename Simd<T>::V load_up_to(const T* p, std::int64_t n) {
  return n == Simd<T>::lanes ? Simd<T>::load(p) : Simd<T>::load_first(p, n);
}
template <class T>
inline void store_up_to(T* p, typename Simd<T>::V a, std::int64_t n) {
  if (n == Simd<T>::lanes)
    Simd<T>::store(p, a);
  else
    Simd<T>::store_first(p, a, n);
}

template <class T, int MR, bool Two>
__attribute__((noinline)) void grouped_tile(const IgemmArgs<T>& a, const Span<T>& span,
                                            const typename Simd<T>::Index* index, std::int64_t first, std::int64_t c,
                                            std::int64_t n) {
  using S = Simd<T>;
  const std::int64_t* const x_indirection = a.x_indirection + first;
  typename S::V acc[MR];
#pragma GCC unroll 16
  for (int m = 0; m < MR; ++m) acc[m] = S::zero();
  for (const TapRun *t = a.taps, *end = t + a.tap_count; t != end; ++t) {
    const T* const x = a.x + t->x + span.first;
    const std::int64_t* const off = hide_from_optimizer(x_indirection);
    Channels<T, Two> channels[MR];
#pragma GCC unroll 16
    for (int m = 0; m < MR; ++m) channels[m].load(x + off[m], span.size);
    const T* w = a.w + t->w * a.w_stride + c;
    for (std::int64_t q = 0; q < a.group_in; ++q, w += a.w_stride) {
      const typename S::V b = load_up_to(w, n);
      const typename S::Index i = index[q];
#pragma GCC unroll 16
      for (int m = 0; m < MR; ++m) acc[m] = S::fma(channels[m].permuted(i), b, acc[m]);
    }
  }
#pragma GCC unroll 16
  for (int m = 0; m < MR; ++m) store_up_to(a.y + a.y_indirection[first + m] + c, acc[m], n);
}

template <class T>
void igemm_grouped(const IgemmArgs<T>& a) {
  constexpr int lanes = Simd<T>::lanes, most = Simd<T>::registers == 32 ? 12 : 6, most_two = most * 2 / 3;
  for (std::int64_t c = a.co_begin; c < a.co_end; c += lanes) {
    const std::int64_t n = a.co_end - c < lanes ? a.co_end - c : lanes;
    const Span<T> span(c, n, a.group_in, a.group_out);
    typename Simd<T>::Index index[2 * lanes];  // a group fits a span
    for (std::int64_t q = 0; q < a.group_in; ++q) index[q] = span.index(q);
    if (span.size <= lanes)
      in_tiles<most>(a.positions, [&](std::int64_t first, auto rows) {
        grouped_tile<T, decltype(rows)::value, false>(a, span, index, first, c, n);
      });
    else
      in_tiles<most_two>(a.positions, [&](std::int64_t first, auto rows) {
        grouped_tile<T, decltype(rows)::value, true>(a, span, index, first, c, n);
      });
  }
}

template <class T, int MR, bool Two>
__attribute__((noinline)) void weight_grouped_tile(const WgradArgs<T>& a, const Span<T>& span, const TapRun* taps,
                                                   std::int64_t q, std::int64_t c, std::int64_t n) {
  using S = Simd<T>;
  const typename S::Index index = span.index(q);
  typename S::V acc[MR];
#pragma GCC unroll 16
  for (int m = 0; m < MR; ++m) acc[m] = S::zero();
  for (std::int64_t j = 0; j < a.positions; ++j) {
    const T* const x = hide_from_optimizer(a.x + a.x_indirection[j] + span.first);
    const TapRun* const tap = hide_from_optimizer(taps);
    const typename S::V b = load_up_to(a.dy + a.y_indirection[j] + c, n);
#pragma GCC unroll 16
    for (int m = 0; m < MR; ++m) {
      Channels<T, Two> channels;
      channels.load(x + tap[m].x, span.size);
      acc[m] = S::fma(channels.permuted(index), b, acc[m]);
    }
  }
#pragma GCC unroll 16
  for (int m = 0; m < MR; ++m) {
    T* const d = a.dw + (taps[m].w + q) * a.dw_stride + c;
    store_up_to(d, S::add(load_up_to(d, n), acc[m]), n);
  }
}

template <class T>
void wgrad_grouped(const WgradArgs<T>& a) {
  constexpr int lanes = Simd<T>::lanes, most = Simd<T>::registers == 32 ? 14 : 9;
  for (std::int64_t c = a.co_begin; c < a.co_end; c += lanes) {
    const std::int64_t n = a.co_end - c < lanes ? a.co_end - c : lanes;
    const Span<T> span(c, n, a.group_in, a.group_out);
    for (std::int64_t q = 0; q < a.group_in; ++q)
      in_tiles<most>(a.tap_count, [&](std::int64_t first, auto rows) {
        constexpr int mr = decltype(rows)::value;
        if (span.size <= lanes)
          weight_grouped_tile<T, mr, false>(a, span, a.taps + first, q, c, n);
        else
          weight_grouped_tile<T, mr, true>(a, span, a.taps + first, q, c, n);
      });
  }
}

}  // namespace
}  // namespace vg::kernels
