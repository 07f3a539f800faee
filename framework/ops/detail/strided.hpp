// Loops over N strided operands of one index space: broadcasting, transposing, slicing. Adjacent axes with continuous
// strides are merged, so that the common cases have one or two axes.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "voxgrad/framework/base/shape.hpp"
#include "voxgrad/framework/ops/detail/map.hpp"

namespace vg::detail {

using Strides = std::array<std::int64_t, Shape::max_rank>;

/// Strides of a contiguous tensor, in elements. All are 0 for an empty tensor, whose products could overflow.
inline Strides contiguous_strides(const Shape& shape) {
  Strides s{};
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return s;
  std::int64_t step = 1;
  for (std::size_t i = shape.size(); i-- > 0;) {
    s[i] = step;
    step *= shape[i];
  }
  return s;
}

/// Strides that read a contiguous tensor of `shape` as if it were broadcast to `out`.
inline Strides broadcast_strides(const Shape& shape, const Shape& out) {
  const Strides own = contiguous_strides(shape);
  Strides s{};
  const std::size_t lead = out.size() - shape.size();
  for (std::size_t i = 0; i < shape.size(); ++i) s[lead + i] = shape[i] == 1 ? 0 : own[i];
  return s;
}

template <std::size_t N>
struct Walk {
  using Offsets = std::array<std::int64_t, N>;
  std::size_t rank = 0;
  std::array<std::int64_t, Shape::max_rank> extent{};
  std::array<Offsets, Shape::max_rank> stride{};

  Walk() = default;
  Walk(const Shape& shape, const std::array<Strides, N>& strides) {
    for (std::size_t axis = 0; axis < shape.size(); ++axis) {
      Offsets s;
      for (std::size_t n = 0; n < N; ++n) s[n] = strides[n][axis];
      push(shape[axis], s);
    }
  }

  /// Adds an innermost axis, merged with the last one if it continues that axis.
  void push(std::int64_t e, const Offsets& s) {
    if (e == 1) return;
    bool merges = rank > 0;
    for (std::size_t n = 0; n < N && merges; ++n) merges = stride[rank - 1][n] == s[n] * e;
    if (merges)
      extent[rank - 1] *= e;
    else
      extent[rank++] = e;
    stride[rank - 1] = s;
  }
  std::int64_t numel() const {
    std::int64_t n = 1;
    for (std::size_t i = 0; i < rank; ++i) n *= extent[i];
    return n;
  }
};

/// Calls row(offsets, position, n) for runs of n elements along the innermost axis, in parallel. `offsets` are the
/// operands' offsets at the start of the run, `position` is its row-major index.
template <std::size_t N, class Row>
void for_rows(const Walk<N>& w, Row row) {
  using Offsets = typename Walk<N>::Offsets;
  const std::int64_t inner = w.rank == 0 ? 1 : w.extent[w.rank - 1];
  const std::size_t outer = w.rank == 0 ? 0 : w.rank - 1;
  parallel_ranges(w.numel(), grain, [&](std::int64_t begin, std::int64_t end) {
    std::array<std::int64_t, Shape::max_rank> index{};
    Offsets base{};
    std::int64_t column = begin % inner, rest = begin / inner;
    for (std::size_t d = outer; d-- > 0; rest /= w.extent[d]) {
      index[d] = rest % w.extent[d];
      for (std::size_t n = 0; n < N; ++n) base[n] += index[d] * w.stride[d][n];
    }
    for (std::int64_t at = begin; at < end;) {
      const std::int64_t count = std::min(inner - column, end - at);
      Offsets from = base;
      for (std::size_t n = 0; n < N && column != 0; ++n) from[n] += column * w.stride[outer][n];
      row(from, at, count);
      at += count;
      column = 0;
      for (std::size_t d = outer; d-- > 0;) {
        for (std::size_t n = 0; n < N; ++n) base[n] += w.stride[d][n];
        if (++index[d] < w.extent[d]) break;
        index[d] = 0;
        for (std::size_t n = 0; n < N; ++n) base[n] -= w.stride[d][n] * w.extent[d];
      }
    }
  });
}

/// dst[i] = src[i] over an index space of `shape`. Each side has its own strides (0 repeats, negative goes backwards).
void copy_strided(DType dtype, const Shape& shape, void* dst, std::int64_t dst_offset, const Strides& dst_strides,
                  const void* src, std::int64_t src_offset, const Strides& src_strides);

}  // namespace vg::detail
