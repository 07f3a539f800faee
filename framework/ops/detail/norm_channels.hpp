// Normalisation of channels-last data (batch, rows, channels) by the statistics of each sample's groups of channels.
// The loops are memory-bound, and each reads its inputs once. Sums are accumulated in double per block of rows, and the
// blocks are combined in order, so the sums do not depend on the number of threads, nor noticeably on a large common
// mean.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <vector>

#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/base/threads.hpp"
#include "voxgrad/framework/kernels/common/cache.hpp"
#include "voxgrad/framework/kernels/common/epilogue.hpp"
#include "voxgrad/framework/kernels/pointwise/pointwise.hpp"
#include "voxgrad/framework/ops/detail/lazy.hpp"

namespace vg::detail {

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

/// The sums over x, computed in a pass over x.
template <class T>
kernels::Moments moments_of(const NormView& v, const T* x) {
  kernels::Moments moments(v.rows, v.channels());
  moments.begin(v.batch * v.blocks());
  norm_blocks(v, [&](std::int64_t t, std::int64_t b, std::int64_t first, std::int64_t n) {
    const std::int64_t at = b * v.rows + first;
    moments.add(t, at, n, x + at * v.channels());
  });
  return moments;
}

/// The mean and biased variance of x + conv_bias (one value per channel, or null) per sample and group, and its mean
/// per sample and channel. A sample of the moments may be a part of a sample of the view.
template <class T>
void group_moments(const NormView& v, const kernels::Moments& moments, const T* conv_bias, double* mean, double* var,
                   double* channel_mean) {
  struct Part {
    double rows;
    const double *mean, *squares;  // per channel: its mean, and the sum of squared distances from it
  };
  const std::int64_t c = v.channels(), parts_of_sample = v.rows / std::max<std::int64_t>(1, moments.sample_rows());
  std::vector<std::vector<Part>> parts(static_cast<std::size_t>(v.batch));
  std::vector<double> numbers;
  std::int64_t count = 0;
  moments.each([&](const auto&) { ++count; });
  numbers.resize(static_cast<std::size_t>(2 * c * count));
  double* at = numbers.data();
  moments.each([&](const kernels::Moments::Chunk& chunk) {
    const double *centre = chunk.stats.data(), *sum = centre + c, *squares = sum + c,
                 n = static_cast<double>(chunk.rows);
    for (std::int64_t i = 0; i < c; ++i) {
      at[i] = centre[i] + sum[i] / n + (conv_bias ? static_cast<double>(conv_bias[i]) : 0.0);
      at[c + i] = std::max(squares[i] - sum[i] * (sum[i] / n), 0.0);
    }
    parts[static_cast<std::size_t>(chunk.sample / parts_of_sample)].push_back({n, at, at + c});
    at += 2 * c;
  });
  for (std::int64_t b = 0; b < v.batch; ++b) {
    const std::vector<Part>& of_sample = parts[static_cast<std::size_t>(b)];
    for (std::int64_t i = 0; i < c; ++i) {
      double total = 0;
      for (const Part& part : of_sample) total += part.rows * part.mean[i];
      channel_mean[b * c + i] = total / static_cast<double>(v.rows);
    }
    for (std::int64_t s = b * v.groups; s < (b + 1) * v.groups; ++s) {
      const std::int64_t first = s % v.groups * v.width, end = first + v.width;
      double centre = 0, total = 0;
      for (std::int64_t i = first; i < end; ++i) centre += channel_mean[b * c + i] / static_cast<double>(v.width);
      for (const Part& part : of_sample)
        for (std::int64_t i = first; i < end; ++i)
          total += part.squares[i] + part.rows * (part.mean[i] - centre) * (part.mean[i] - centre);
      mean[s] = centre;
      var[s] = total / static_cast<double>(v.count());
    }
  }
}

/// A mean of x, split as high + low so that a mean that T cannot represent exactly does not cost accuracy.
template <class T>
struct SplitMean {
  explicit SplitMean(double mean) : high(static_cast<T>(mean)), low(mean - static_cast<double>(high)) {}
  T high;
  double low;
};

template <class T>
const T* data_or_null(const Variable& v) {
  return v.defined() ? v.value().data<T>() : nullptr;
}

/// The numbers of a ChannelOp in the form for kernels: y = act((x - centre) * factor + shift) for each sample and
/// channel, or, without statistics, act(x + conv_bias).
template <class T>
class NormMap {
 public:
  NormMap(const ChannelOp& n, const kernels::Activation& applied)
      : view(n.view),
        activation(applied),
        scale(data_or_null<T>(n.scale)),
        conv_bias_(data_or_null<T>(n.conv_bias)),
        non_temporal_(view.elements() * std::int64_t{sizeof(T)} > kernels::cache::non_temporal_threshold) {
    if (!n.stats.defined()) return;
    means = n.stats.data<double>();
    rstds = means + view.stats();
    const T* const bias = data_or_null<T>(n.bias);
    const std::int64_t channels = view.channels(), size = view.batch * channels;
    numbers_.emplace(3 * size);
    for (std::int64_t b = 0; b < view.batch; ++b)
      for (std::int64_t i = 0; i < channels; ++i) {
        const SplitMean<T> mean(centre(b, i));
        T* const at = numbers_->data() + b * channels + i;
        at[0] = mean.high;
        at[size] = static_cast<T>(gain(b, i));
        at[2 * size] = static_cast<T>((bias ? static_cast<double>(bias[i]) : 0.0) - mean.low * gain(b, i));
      }
  }

  double centre(std::int64_t b, std::int64_t i) const {
    return means[b * view.groups + i / view.width] - (conv_bias_ ? static_cast<double>(conv_bias_[i]) : 0.0);
  }
  double gain(std::int64_t b, std::int64_t i) const {
    return rstds[b * view.groups + i / view.width] * (scale ? static_cast<double>(scale[i]) : 1.0);
  }
  kernels::ChannelMap<T> of(std::int64_t sample, std::int64_t rows) {
    const std::int64_t channels = view.channels(), size = view.batch * channels;
    if (!numbers_) return {rows, channels, nullptr, nullptr, conv_bias_, activation, non_temporal_};
    T* const at = numbers_->data() + sample * channels;
    return {rows, channels, at, at + size, at + 2 * size, activation, non_temporal_};
  }

  const NormView view;
  kernels::Activation activation;
  const T* const scale;
  const double *means = nullptr, *rstds = nullptr;  // null without statistics

 private:
  const T* const conv_bias_;
  const bool non_temporal_;
  std::optional<memory::Scratch<T>> numbers_;
};

/// Calls f(sample, first element, rows) for pieces of each sample's rows, one piece per task.
template <class F>
void norm_pieces(const NormView& v, F&& f) {
  const std::int64_t c = v.channels(), tasks = std::max<std::int64_t>(1, (v.rows * c + 65535) / 65536),
                     step = (v.rows + tasks - 1) / tasks;
  parallel_for(v.batch * tasks, [&](std::int64_t task) {
    const std::int64_t b = task / tasks, first = task % tasks * step, end = std::min(v.rows, first + step);
    if (first < end) f(b, (b * v.rows + first) * c, end - first);
  });
}

/// y = act(the map of x + residual); residual may be null.
template <class T>
void norm_apply(NormMap<T>& map, const T* x, const T* residual, T* y) {
  norm_pieces(map.view, [&](std::int64_t b, std::int64_t at, std::int64_t rows) {
    kernels::map_channels(map.of(b, rows), x + at, residual ? residual + at : nullptr, y + at);
  });
}

/// For each sample and channel: the sum of g' and the sum of g' * (x + conv_bias - mean). g' is g times the
/// activation's slope at x, or, if the result y is given, at y; g' is then stored in `masked`.
template <class T>
void norm_dots(NormMap<T>& map, const T* x, const T* g, const T* y, T* masked, double* sum_g, double* sum_gx) {
  const NormView& v = map.view;
  const std::int64_t c = v.channels(), blocks = v.blocks();
  memory::Scratch<double> parts(v.batch * blocks * 2 * c);
  norm_blocks(v, [&](std::int64_t t, std::int64_t b, std::int64_t first, std::int64_t n) {
    double* part = parts.data() + t * 2 * c;
    const std::int64_t at = (b * v.rows + first) * c;
    if (y == nullptr && !map.activation.any())
      kernels::channel_dots(n, c, g + at, x + at, part, part + c);
    else
      kernels::activation_grad_dots<T>(map.of(b, n), x + at, g + at, y ? y + at : nullptr, y ? masked + at : nullptr,
                                       part, part + c);
    for (std::int64_t i = 0; i < c; ++i) part[c + i] -= map.centre(b, i) * part[i];
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

/// dx = rstd * (g' * scale - mean(g' * scale) - xhat * mean(g' * scale * xhat)), with means over the group and g' as in
/// norm_dots. With `constant` statistics the two means are left out.
template <class T>
class NormGradient {
 public:
  NormGradient(NormMap<T>& map, const double* sum_g, const double* sum_gx, bool constant)
      : map_(map), constant_(constant), means_(2 * map.view.stats()) {
    const NormView& v = map.view;
    for (std::int64_t s = 0; s < v.stats() && !constant; ++s) {
      double total = 0, slope = 0;
      for (std::int64_t i = s % v.groups * v.width, end = i + v.width; i < end; ++i) {
        const double gain = map.scale ? static_cast<double>(map.scale[i]) : 1.0;
        total += gain * sum_g[s / v.groups * v.channels() + i];
        slope += gain * sum_gx[s / v.groups * v.channels() + i];
      }
      const double n = static_cast<double>(v.count()), rstd = map.rstds[s];
      means_.data()[2 * s] = rstd * total / n;
      means_.data()[2 * s + 1] = rstd * rstd * rstd * slope / n;  // the factor of x - mean
    }
  }

  void x(const T* x, const T* g, T* dx) {
    const NormView& v = map_.view;
    const std::int64_t c = v.channels();
    memory::Scratch<T> slope(v.batch * c), fall(v.batch * c);
    for (std::int64_t b = 0; b < v.batch && !constant_; ++b)
      for (std::int64_t i = 0; i < c; ++i) {
        const double k = slope_of(b, i);
        slope.data()[b * c + i] = static_cast<T>(k);
        fall.data()[b * c + i] = static_cast<T>(fall_of(b, i) - SplitMean<T>(map_.centre(b, i)).low * k);
      }
    norm_pieces(v, [&](std::int64_t b, std::int64_t at, std::int64_t rows) {
      kernels::norm_grad(map_.of(b, rows), constant_ ? nullptr : slope.data() + b * c,
                         constant_ ? nullptr : fall.data() + b * c, x + at, g + at, dx + at);
    });
  }

  /// The sum of dx over channel i, given the sums of g' and the means of x + conv_bias per sample and channel.
  double conv_bias(std::int64_t i, const double* sum_g, const double* channel_mean) {
    const std::int64_t c = map_.view.channels();
    const auto rows = static_cast<double>(map_.view.rows);
    double total = 0;
    for (std::int64_t b = 0; b < map_.view.batch; ++b) {
      total += map_.gain(b, i) * sum_g[b * c + i];
      if (constant_) continue;
      const double mean = map_.means[group_of(b, i)];
      total -= rows * ((channel_mean[b * c + i] - mean) * slope_of(b, i) + fall_of(b, i));
    }
    return total;
  }

 private:
  std::int64_t group_of(std::int64_t b, std::int64_t i) const { return b * map_.view.groups + i / map_.view.width; }
  double fall_of(std::int64_t b, std::int64_t i) { return means_.data()[2 * group_of(b, i)]; }
  double slope_of(std::int64_t b, std::int64_t i) { return means_.data()[2 * group_of(b, i) + 1]; }

  NormMap<T>& map_;
  bool constant_;
  memory::Scratch<double> means_;
};

}  // namespace vg::detail
