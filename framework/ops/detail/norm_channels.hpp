// Normalisation of channels-last data (batch, rows, channels) by statistics of each sample's groups of channels:
// memory-bound loops, each reading its inputs once. Sums go block by block of rows in double and the blocks are
// combined in order, so they depend neither on the number of threads nor, noticeably, on a large common mean.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "framework/kernels/pointwise.hpp"
#include "framework/memory.hpp"
#include "framework/threads.hpp"

namespace vg::detail {

struct NormView {
  std::int64_t batch, rows, groups, width;  ///< width: channels a group

  std::int64_t channels() const { return groups * width; }
  std::int64_t stats() const { return batch * groups; }
  /// Values that make one mean.
  std::int64_t count() const { return rows * width; }
  std::int64_t block_rows() const { return std::max<std::int64_t>(1, 8192 / std::max<std::int64_t>(1, channels())); }
  std::int64_t blocks() const { return (rows + block_rows() - 1) / block_rows(); }
};

/// Calls f(task, sample, first row, rows) for each block of rows of each sample.
template <class F>
void norm_blocks(const NormView& v, F&& f) {
  const std::int64_t blocks = v.blocks(), step = v.block_rows();
  parallel_ranges(v.batch * blocks, 4, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      const std::int64_t first = t % blocks * step;
      f(t, t / blocks, first, std::min(step, v.rows - first));
    }
  });
}

/// Mean and biased variance of each group of each sample. Each block is read twice, the second time from the cache: the
/// squares are of distances from the block's own mean.
template <class T>
void group_moments(const NormView& v, const T* x, double* mean, double* var) {
  const std::int64_t c = v.channels(), blocks = v.blocks(), step = v.block_rows();
  memory::Scratch<double> parts(v.batch * blocks * 2 * c);
  norm_blocks(v, [&](std::int64_t t, std::int64_t b, std::int64_t first, std::int64_t n) {
    double *m = parts.data() + t * 2 * c, *squares = m + c;
    const T* at = x + (b * v.rows + first) * c;
    kernels::channel_sums(n, c, at, m, squares);
    for (std::int64_t i = 0; i < c; ++i) m[i] /= static_cast<double>(n);
    kernels::channel_centered_squares(n, c, at, m, squares);
  });
  parallel_for(
      v.stats(),
      [&](std::int64_t s) {
        const std::int64_t b = s / v.groups, c0 = s % v.groups * v.width;
        const auto over_blocks = [&](auto term) {
          double total = 0;
          for (std::int64_t t = 0; t < blocks; ++t) {
            const double n = static_cast<double>(std::min(step, v.rows - t * step));
            const double* part = parts.data() + (b * blocks + t) * 2 * c;
            for (std::int64_t i = c0; i < c0 + v.width; ++i) total += term(n, part[i], part[c + i]);
          }
          return total / static_cast<double>(v.count());
        };
        const double centre = over_blocks([](double n, double m, double) { return n * m; });
        mean[s] = centre;
        var[s] = over_blocks(
            [centre](double n, double m, double squares) { return squares + n * (m - centre) * (m - centre); });
      },
      v.stats() < 16);
}

/// Numbers of a channel, repeated until a row of them is long enough for a loop of its own.
template <class T>
class ChannelRow {
 public:
  explicit ChannelRow(std::int64_t channels)
      : channels_(channels),
        length_(channels * std::max<std::int64_t>(1, 256 / std::max<std::int64_t>(1, channels))),
        numbers_(length_) {}
  std::int64_t length() const { return length_; }
  const T* data() { return numbers_.data(); }
  template <class F>
  void fill(F value) {
    for (std::int64_t i = 0; i < channels_; ++i) numbers_.data()[i] = static_cast<T>(value(i));
    for (std::int64_t i = channels_; i < length_; ++i) numbers_.data()[i] = numbers_.data()[i - channels_];
  }

 private:
  std::int64_t channels_, length_;
  memory::Scratch<T> numbers_;
};

/// What x is centred on, split so that a mean that float cannot hold does not cost accuracy: mean = high + low.
template <class T>
struct SplitMean {
  explicit SplitMean(double mean) : high(static_cast<T>(mean)), low(mean - static_cast<double>(high)) {}
  T high;
  double low;
};

/// y = (x - mean) / sqrt(var + eps) * scale + bias; scale and bias may be null.
template <class T>
void norm_apply(const NormView& v, const T* x, const double* mean, const double* rstd, const T* scale, const T* bias,
                T* y) {
  const std::int64_t c = v.channels(), tasks = std::max<std::int64_t>(1, (v.rows * c + 65535) / 65536),
                     step = (v.rows + tasks - 1) / tasks;
  parallel_for(v.batch * tasks, [&](std::int64_t task) {
    const std::int64_t b = task / tasks, first = task % tasks * step, end = std::min(v.rows, first + step);
    ChannelRow<T> centre(c), factor(c), shift(c);
    const auto stat = [&](std::int64_t i) { return b * v.groups + i / v.width; };
    const auto gain = [&](std::int64_t i) { return rstd[stat(i)] * (scale ? static_cast<double>(scale[i]) : 1.0); };
    centre.fill([&](std::int64_t i) { return SplitMean<T>(mean[stat(i)]).high; });
    factor.fill(gain);
    shift.fill([&](std::int64_t i) {
      return (bias ? static_cast<double>(bias[i]) : 0.0) - SplitMean<T>(mean[stat(i)]).low * gain(i);
    });
    const T *m = centre.data(), *a = factor.data(), *s = shift.data();
    for (std::int64_t at = (b * v.rows + first) * c, stop = (b * v.rows + end) * c; at < stop; at += centre.length()) {
      const std::int64_t n = std::min(centre.length(), stop - at);
      const T* __restrict from = x + at;
      T* __restrict to = y + at;
      for (std::int64_t i = 0; i < n; ++i) to[i] = (from[i] - m[i]) * a[i] + s[i];
    }
  });
}

/// For each sample and channel: the sum of g, and of g * (x - mean).
template <class T>
void norm_dots(const NormView& v, const T* x, const T* g, const double* mean, double* sum_g, double* sum_gx) {
  const std::int64_t c = v.channels(), blocks = v.blocks();
  memory::Scratch<double> parts(v.batch * blocks * 2 * c);
  norm_blocks(v, [&](std::int64_t t, std::int64_t b, std::int64_t first, std::int64_t n) {
    double* part = parts.data() + t * 2 * c;
    const std::int64_t at = (b * v.rows + first) * c;
    kernels::channel_dots(n, c, g + at, x + at, part, part + c);
    for (std::int64_t i = 0; i < c; ++i) part[c + i] -= mean[b * v.groups + i / v.width] * part[i];
  });
  for (std::int64_t b = 0; b < v.batch; ++b) {
    double *to = sum_g + b * c, *tox = sum_gx + b * c;
    std::fill_n(to, c, 0.0);
    std::fill_n(tox, c, 0.0);
    for (std::int64_t t = 0; t < blocks; ++t) {
      const double* part = parts.data() + (b * blocks + t) * 2 * c;
      for (std::int64_t i = 0; i < c; ++i) to[i] += part[i];
      for (std::int64_t i = 0; i < c; ++i) tox[i] += part[c + i];
    }
  }
}

/// dx = rstd * (g * scale - mean(g * scale) - xhat * mean(g * scale * xhat)), means over the group; with `constant`
/// statistics the two means are left out.
template <class T>
void norm_grad_x(const NormView& v, const T* x, const T* g, const double* mean, const double* rstd, const T* scale,
                 const double* sum_g, const double* sum_gx, bool constant, T* dx) {
  const std::int64_t c = v.channels(), tasks = std::max<std::int64_t>(1, (v.rows * c + 65535) / 65536),
                     step = (v.rows + tasks - 1) / tasks;
  memory::Scratch<double> means(2 * v.stats());
  for (std::int64_t s = 0; s < v.stats(); ++s) {
    double total = 0, slope = 0;
    for (std::int64_t i = s % v.groups * v.width, end = i + v.width; i < end && !constant; ++i) {
      const double gain = scale ? static_cast<double>(scale[i]) : 1.0;
      total += gain * sum_g[s / v.groups * c + i];
      slope += gain * sum_gx[s / v.groups * c + i];
    }
    const double n = static_cast<double>(v.count());
    means.data()[2 * s + 1] = constant ? 0.0 : rstd[s] * rstd[s] * rstd[s] * slope / n;  // falls as x - mean
    means.data()[2 * s] = constant ? 0.0 : rstd[s] * total / n - SplitMean<T>(mean[s]).low * means.data()[2 * s + 1];
  }
  parallel_for(v.batch * tasks, [&](std::int64_t task) {
    const std::int64_t b = task / tasks, first = task % tasks * step, end = std::min(v.rows, first + step);
    ChannelRow<T> factor(c), centre(c), slope(c), shift(c);
    const auto stat = [&](std::int64_t i) { return b * v.groups + i / v.width; };
    factor.fill([&](std::int64_t i) { return rstd[stat(i)] * (scale ? static_cast<double>(scale[i]) : 1.0); });
    centre.fill([&](std::int64_t i) { return SplitMean<T>(mean[stat(i)]).high; });
    slope.fill([&](std::int64_t i) { return means.data()[2 * stat(i) + 1]; });
    shift.fill([&](std::int64_t i) { return means.data()[2 * stat(i)]; });
    const T *a = factor.data(), *m = centre.data(), *k = slope.data(), *s = shift.data();
    for (std::int64_t at = (b * v.rows + first) * c, stop = (b * v.rows + end) * c; at < stop; at += factor.length()) {
      const std::int64_t n = std::min(factor.length(), stop - at);
      const T* __restrict xs = x + at, * __restrict gs = g + at;
      T* __restrict to = dx + at;
      if (constant) {
        for (std::int64_t i = 0; i < n; ++i) to[i] = a[i] * gs[i];
      } else {
        for (std::int64_t i = 0; i < n; ++i) to[i] = a[i] * gs[i] - ((xs[i] - m[i]) * k[i] + s[i]);
      }
    }
  });
}

}  // namespace vg::detail
