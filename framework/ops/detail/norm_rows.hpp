// Normalisation of each row of a (rows, length) array. A row is read from memory once and stays in the cache.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/base/threads.hpp"

namespace vg::detail {

/// The sum of term(i) for i < n. Up to 2048 terms are summed in 16 lanes of T, which are added in pairs to a double.
template <class T, class F>
double row_sum(std::int64_t n, F term) {
  double total = 0;
  for (std::int64_t begin = 0; begin < n; begin += 2048) {
    const std::int64_t end = std::min(n, begin + 2048);
    T lanes[16] = {};
    std::int64_t i = begin;
    for (; i + 16 <= end; i += 16)
      for (std::int64_t j = 0; j < 16; ++j) lanes[j] += term(i + j);
    for (; i < end; ++i) lanes[i % 16] += term(i);
    for (std::int64_t half = 8; half > 0; half /= 2)
      for (std::int64_t j = 0; j < half; ++j) lanes[j] += lanes[j + half];
    total += static_cast<double>(lanes[0]);
  }
  return total;
}

/// The mean (as T, so that x - mean is exact where it matters) and 1 / sqrt(var + eps) of a row.
template <class T>
struct RowMoments {
  RowMoments(const T* x, std::int64_t n, double eps) {
    const double count = static_cast<double>(n);
    const T first = static_cast<T>(row_sum<T>(n, [x](std::int64_t i) { return x[i]; }) / count);
    // A second pass subtracts the first mean. Its own mean corrects the first one, and its mean's square the variance.
    const double d1 = row_sum<T>(n, [=](std::int64_t i) { return x[i] - first; }) / count;
    const double d2 = row_sum<T>(n, [=](std::int64_t i) { return (x[i] - first) * (x[i] - first); }) / count;
    mean = first;
    rest = static_cast<T>(d1);
    rstd = static_cast<T>(1 / std::sqrt(std::max(0.0, d2 - d1 * d1) + eps));
    if (std::isnan(d2)) rstd = static_cast<T>(d2);  // max() would hide the NaN
  }
  T mean, rest, rstd;
  T hat(T x) const { return (x - mean - rest) * rstd; }
};

/// Divides rows into at most 64 parts, by size alone.
struct RowCut {
  RowCut(std::int64_t rows, std::int64_t length) {
    parts = std::clamp<std::int64_t>(rows * length / 32768, 1, 64);
    step = (rows + parts - 1) / parts;
  }
  std::int64_t parts, step;
};

template <class T>
void rows_forward(std::int64_t rows, std::int64_t length, double eps, const T* x, const T* scale, const T* bias, T* y) {
  parallel_ranges(rows, std::max<std::int64_t>(1, 16384 / std::max<std::int64_t>(1, length)),
                  [&](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t r = begin; r < end; ++r) {
                      const T* __restrict from = x + r * length;
                      T* __restrict to = y + r * length;
                      const RowMoments<T> m(from, length, eps);
                      for (std::int64_t i = 0; i < length; ++i) to[i] = m.hat(from[i]);
                      if (scale)
                        for (std::int64_t i = 0; i < length; ++i) to[i] *= scale[i];
                      if (bias)
                        for (std::int64_t i = 0; i < length; ++i) to[i] += bias[i];
                    }
                  });
}

/// dx = rstd * (g * scale - mean(g * scale) - xhat * mean(g * scale * xhat)). dx, dscale and dbias may be null.
template <class T>
void rows_backward(std::int64_t rows, std::int64_t length, double eps, const T* x, const T* g, const T* scale, T* dx,
                   T* dscale, T* dbias) {
  const RowCut cut(rows, length);
  memory::Scratch<double> parts(cut.parts * 2 * length);
  std::fill_n(parts.data(), cut.parts * 2 * length, 0.0);
  parallel_for(cut.parts, [&](std::int64_t part) {
    memory::Scratch<T> work(4 * length);
    T *hat = work.data(), *scaled = hat + length, *sum_gx = scaled + length, *sum_g = sum_gx + length;
    std::fill_n(sum_gx, 2 * length, T{0});
    double* total = parts.data() + part * 2 * length;
    const std::int64_t begin = part * cut.step, end = std::min(rows, begin + cut.step);
    for (std::int64_t r = begin; r < end; ++r) {
      const T *xs = x + r * length, *gs = g + r * length;
      const RowMoments<T> m(xs, length, eps);
      for (std::int64_t i = 0; i < length; ++i) hat[i] = m.hat(xs[i]);
      for (std::int64_t i = 0; i < length; ++i) sum_gx[i] += gs[i] * hat[i];
      for (std::int64_t i = 0; i < length; ++i) sum_g[i] += gs[i];
      if (dx) {
        for (std::int64_t i = 0; i < length; ++i) scaled[i] = scale ? gs[i] * scale[i] : gs[i];
        const double n = static_cast<double>(length);
        const T mean = static_cast<T>(row_sum<T>(length, [=](std::int64_t i) { return scaled[i]; }) / n);
        const T slope = static_cast<T>(row_sum<T>(length, [=](std::int64_t i) { return scaled[i] * hat[i]; }) / n);
        for (std::int64_t i = 0; i < length; ++i) dx[r * length + i] = m.rstd * (scaled[i] - mean - hat[i] * slope);
      }
      if ((r - begin) % 256 == 255 || r + 1 == end) {  // keeps sums in T short
        for (std::int64_t i = 0; i < 2 * length; ++i) total[i] += static_cast<double>(sum_gx[i]);
        std::fill_n(sum_gx, 2 * length, T{0});
      }
    }
  });
  for (std::int64_t p = 1; p < cut.parts; ++p)
    for (std::int64_t i = 0; i < 2 * length; ++i) parts.data()[i] += parts.data()[p * 2 * length + i];
  for (std::int64_t i = 0; i < length && dscale; ++i) dscale[i] = static_cast<T>(parts.data()[i]);
  for (std::int64_t i = 0; i < length && dbias; ++i) dbias[i] = static_cast<T>(parts.data()[length + i]);
}

}  // namespace vg::detail
