// Folds an axis: (outer, n, inner) -> (outer, inner). The blocks depend only on the shape and are combined in a fixed
// order, so the result does not depend on the number of threads. Sums of floats are accumulated in double, so their
// error does not grow with the volume.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/base/threads.hpp"

namespace vg::detail {

// i32 sums are accumulated in 64 bits.
struct SumFold {
  template <class T>
  using Acc = std::conditional_t<std::is_integral_v<T>, std::int64_t, double>;
  template <class A>
  static constexpr A start() {
    return A(0);
  }
  template <class A, class T>
  static A join(A a, T x) {
    return a + static_cast<A>(x);
  }
};

// A NaN wins, as in numpy. The operator is | because the branch of || would keep the loops scalar.
struct MaxFold {
  template <class T>
  using Acc = T;
  template <class A>
  static constexpr A start() {
    if constexpr (std::numeric_limits<A>::has_infinity)
      return -std::numeric_limits<A>::infinity();
    else
      return std::numeric_limits<A>::lowest();
  }
  template <class A, class T>
  static A join(A a, T x) {
    return static_cast<int>(x > a) | static_cast<int>(x != x) ? x : a;
  }
};

struct MinFold {
  template <class T>
  using Acc = T;
  template <class A>
  static constexpr A start() {
    if constexpr (std::numeric_limits<A>::has_infinity)
      return std::numeric_limits<A>::infinity();
    else
      return std::numeric_limits<A>::max();
  }
  template <class A, class T>
  static A join(A a, T x) {
    return static_cast<int>(x < a) | static_cast<int>(x != x) ? x : a;
  }
};

/// Folds n contiguous elements. From 16 elements on, it uses 8 lanes, which are folded at the end.
template <class Fold, class A, class T>
A fold_run(const T* x, std::int64_t n) {
  if (n < 16) {
    A total = Fold::template start<A>();
    for (std::int64_t i = 0; i < n; ++i) total = Fold::join(total, x[i]);
    return total;
  }
  constexpr std::int64_t lanes = 8;
  A lane[lanes];
  std::fill_n(lane, lanes, Fold::template start<A>());
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    for (std::int64_t j = 0; j < lanes; ++j) lane[j] = Fold::join(lane[j], x[i + j]);
  for (; i < n; ++i) lane[i % lanes] = Fold::join(lane[i % lanes], x[i]);
  for (std::int64_t width = lanes / 2; width > 0; width /= 2)
    for (std::int64_t j = 0; j < width; ++j) lane[j] = Fold::join(lane[j], lane[j + width]);
  return lane[0];
}

inline constexpr std::int64_t fold_block = 32768;  ///< elements per task
inline constexpr std::int64_t fold_columns = 512;  ///< accumulators per task

/// Folds `rows` rows of `width` columns with a distance of `inner`. Narrow rows are processed several at a time, as one
/// longer row.
template <class Fold, class A, class T, class Out>
void fold_rows(const T* x, std::int64_t rows, std::int64_t inner, std::int64_t width, Out* out) {
  A acc[fold_columns];
  const std::int64_t together = width == inner ? std::clamp<std::int64_t>(64 / width, 1, rows) : 1;
  const std::int64_t lanes = width * together;
  std::fill_n(acc, lanes, Fold::template start<A>());
  std::int64_t r = 0;
  for (; r + together <= rows; r += together) {
    const T* row = x + r * inner;
    for (std::int64_t j = 0; j < lanes; ++j) acc[j] = Fold::join(acc[j], row[j]);
  }
  for (; r < rows; ++r)
    for (std::int64_t j = 0; j < width; ++j) acc[j] = Fold::join(acc[j], x[r * inner + j]);
  for (std::int64_t k = 1; k < together; ++k)
    for (std::int64_t j = 0; j < width; ++j) acc[j] = Fold::join(acc[j], acc[k * width + j]);
  for (std::int64_t j = 0; j < width; ++j) out[j] = static_cast<Out>(acc[j]);
}

template <class Fold, class T, class Out>
void fold_axis(const T* x, std::int64_t outer, std::int64_t n, std::int64_t inner, Out* out) {
  using A = typename Fold::template Acc<T>;
  if (outer == 0 || inner == 0) return;
  if (n == 0) return std::fill_n(out, outer * inner, static_cast<Out>(Fold::template start<A>())), void();
  const std::int64_t width = std::min(inner, fold_columns), columns = (inner + width - 1) / width;
  const std::int64_t depth = std::min(n, std::max<std::int64_t>(1, fold_block / width)),
                     blocks = (n + depth - 1) / depth;
  const auto fold_into = [&](auto* to) {
    using To = std::remove_reference_t<decltype(*to)>;
    const std::int64_t together = std::max<std::int64_t>(1, fold_block / (depth * width));
    parallel_ranges(outer * blocks * columns, together, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t task = begin; task < end; ++task) {
        const std::int64_t row = task / columns, column = task % columns * width;
        const std::int64_t first = row % blocks * depth, count = std::min(depth, n - first);
        const T* from = x + (row / blocks * n + first) * inner + column;
        if (inner == 1)
          to[row] = static_cast<To>(fold_run<Fold, A>(from, count));
        else
          fold_rows<Fold, A>(from, count, inner, std::min(width, inner - column), to + row * inner + column);
      }
    });
  };
  if (blocks == 1) return fold_into(out);
  memory::Scratch<A> partial(outer * blocks * inner);
  fold_into(partial.data());
  fold_axis<Fold>(static_cast<const A*>(partial.data()), outer, blocks, inner, out);
}

}  // namespace vg::detail
