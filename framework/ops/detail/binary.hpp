// Broadcasting binary loops.
#pragma once

#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/ops/detail/strided.hpp"

namespace vg::detail {

/// out[i] = f(a[i or 0], b[i or 0])
template <class R, class T, class F>
void binary_row(R* __restrict out, const T* __restrict a, bool a_moves, const T* __restrict b, bool b_moves,
                std::int64_t n, F f) {
  if (a_moves && b_moves) {
    for (std::int64_t i = 0; i < n; ++i) out[i] = f(a[i], b[i]);
  } else if (a_moves) {
    const T v = *b;
    for (std::int64_t i = 0; i < n; ++i) out[i] = f(a[i], v);
  } else {
    const T v = *a;
    for (std::int64_t i = 0; i < n; ++i) out[i] = f(v, b[i]);
  }
}

/// A (..., C) tensor with one of shape (C). Rows of a few channels are too short for one loop each, so the small side
/// is repeated until rows are a few hundred elements long. Each row of `length` elements starts at the beginning of
/// `small`.
template <class R, class T, class F>
void short_rows(R* out, const T* large, const T* small, std::int64_t channels, std::int64_t n, bool small_first, F f) {
  const std::int64_t length = channels * (256 / channels + 1);
  memory::Scratch<T> repeated(length);
  T* tile = repeated.data();
  for (std::int64_t i = 0; i < length; ++i) tile[i] = small[i % channels];
  parallel_ranges((n + length - 1) / length, grain / length, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const std::int64_t at = r * length, count = std::min(length, n - at);
      if (small_first)
        binary_row(out + at, static_cast<const T*>(tile), true, large + at, true, count, f);
      else
        binary_row(out + at, large + at, true, static_cast<const T*>(tile), true, count, f);
    }
  });
}

/// f over the broadcast of a and b, both of dtype T, as a tensor of R.
template <class R, class T, class F>
Tensor binary_broadcast(std::string_view op, const Tensor& a, const Tensor& b, F f) {
  const OpGuard scope(op);
  const Shape shape = broadcast_shapes(op, a.shape(), b.shape());
  Tensor y(shape, dtype_of<R>());
  if (y.numel() == 0) return y;
  const T* pa = a.data<T>();
  const T* pb = b.data<T>();
  R* out = y.data<R>();
  if (a.shape() == b.shape()) {
    map2_loop(pa, pb, out, y.numel(), f);
    return y;
  }
  const Walk<2> w(shape, {broadcast_strides(a.shape(), shape), broadcast_strides(b.shape(), shape)});
  if (w.rank == 2 && w.extent[1] < 128) {
    const auto& s = w.stride;
    const std::int64_t c = w.extent[1];
    if (s[0][0] == c && s[1][0] == 1 && s[0][1] == 0 && s[1][1] == 1)
      return short_rows(out, pa, pb, c, y.numel(), false, f), y;
    if (s[0][1] == c && s[1][1] == 1 && s[0][0] == 0 && s[1][0] == 1)
      return short_rows(out, pb, pa, c, y.numel(), true, f), y;
  }
  const bool a_moves = w.rank > 0 && w.stride[w.rank - 1][0] != 0, b_moves = w.rank > 0 && w.stride[w.rank - 1][1] != 0;
  for_rows(w, [=](const std::array<std::int64_t, 2>& from, std::int64_t at, std::int64_t n) {
    binary_row(out + at, pa + from[0], a_moves, pb + from[1], b_moves, n, f);
  });
  return y;
}

}  // namespace vg::detail
