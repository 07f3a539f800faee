// Pooling loops over channels-last memory: the innermost loop is over channels. A task is a row of outputs (or of
// inputs, for the adjoints), so that no two tasks write the same place.
#pragma once

#include <algorithm>
#include <cstdint>

#include "framework/ops/conv3d.hpp"
#include "framework/threads.hpp"

namespace vg::detail {

struct Pool3dGeometry {
  std::int64_t batch, channels;
  Triple in, out, kernel, stride, before;
  bool adaptive = false;  ///< windows follow from in and out; kernel is the largest of them

  std::int64_t in_voxels() const { return in[0] * in[1] * in[2]; }
  std::int64_t out_voxels() const { return out[0] * out[1] * out[2]; }
  /// Too little work to be worth waking threads.
  bool small() const { return batch * channels * std::max(in_voxels(), out_voxels()) < 16384; }
};

struct PoolRange {
  std::int64_t begin, end;
  std::int64_t size() const { return end - begin; }
};

/// Input positions of the window of output o in dimension i, cut to the input.
inline PoolRange pool_window(const Pool3dGeometry& g, std::size_t i, std::int64_t o) {
  if (g.adaptive) return {o * g.in[i] / g.out[i], ((o + 1) * g.in[i] + g.out[i] - 1) / g.out[i]};
  const std::int64_t start = o * g.stride[i] - g.before[i];
  return {std::max<std::int64_t>(0, start), std::min(g.in[i], start + g.kernel[i])};
}

/// Outputs whose window holds input position p in dimension i.
inline PoolRange pool_users(const Pool3dGeometry& g, std::size_t i, std::int64_t p) {
  // o * in < (p + 1) * out and (o + 1) * in > p * out: the same windows, seen from the input
  if (g.adaptive) return {p * g.out[i] / g.in[i], ((p + 1) * g.out[i] + g.in[i] - 1) / g.in[i]};
  const std::int64_t at = p + g.before[i], first = at - g.kernel[i] + 1;
  const std::int64_t begin = first <= 0 ? 0 : (first + g.stride[i] - 1) / g.stride[i];
  return {begin, std::min(g.out[i], at / g.stride[i] + 1)};
}

/// best = max of it and from, for c channels; NaN wins. With `at`, the places of the maxima, of which `from` is number
/// v.
template <class T>
void max_step(std::int64_t c, const T* from, std::int32_t v, T* best, std::int32_t* at) {
  if (at) {
    for (std::int64_t i = 0; i < c; ++i) {
      const bool better = (from[i] > best[i]) | (from[i] != from[i]);
      best[i] = better ? from[i] : best[i];
      at[i] = better ? v : at[i];
    }
  } else {
    for (std::int64_t i = 0; i < c; ++i) {
      const bool better = (from[i] > best[i]) | (from[i] != from[i]);
      best[i] = better ? from[i] : best[i];
    }
  }
}

/// y = max over each window. With `index`, the place of the first maximum: a voxel number within its sample.
template <class T>
void max_pool(const Pool3dGeometry& g, const T* x, T* y, std::int32_t* index) {
  const std::int64_t c = g.channels;
  const auto window = [&](const T* sample, PoolRange hs, PoolRange ws, PoolRange ds, T* best, std::int32_t* at) {
    bool first = true;
    for (std::int64_t h = hs.begin; h < hs.end; ++h)
      for (std::int64_t w = ws.begin; w < ws.end; ++w)
        for (std::int64_t d = ds.begin; d < ds.end; ++d, first = false) {
          const std::int64_t v = (h * g.in[1] + w) * g.in[2] + d;
          if (first) std::copy_n(sample + v * c, c, best);
          if (first && at) std::fill_n(at, c, static_cast<std::int32_t>(v));
          if (!first) max_step(c, sample + v * c, static_cast<std::int32_t>(v), best, at);
        }
  };
  parallel_for(
      g.batch * g.out[0],
      [&](std::int64_t task) {
        const T* sample = x + task / g.out[0] * g.in_voxels() * c;
        std::int64_t o = task * g.out[1] * g.out[2] * c;
        for (std::int64_t ow = 0; ow < g.out[1]; ++ow)
          for (std::int64_t od = 0; od < g.out[2]; ++od, o += c)
            window(sample, pool_window(g, 0, task % g.out[0]), pool_window(g, 1, ow), pool_window(g, 2, od), y + o,
                   index ? index + o : nullptr);
      },
      g.small());
}

/// y[o] = x[index[o]]
template <class T>
void pool_pick(const Pool3dGeometry& g, const T* x, const std::int32_t* index, T* y) {
  const std::int64_t c = g.channels, row = g.out[1] * g.out[2];
  parallel_for(
      g.batch * g.out[0],
      [&](std::int64_t task) {
        const T* sample = x + task / g.out[0] * g.in_voxels() * c;
        for (std::int64_t o = task * row * c; o < (task + 1) * row * c; o += c)
          for (std::int64_t i = 0; i < c; ++i) y[o + i] = sample[index[o + i] * c + i];
      },
      g.small());
}

/// dx = 0; dx[index[o]] += dy[o]. A task owns some rows of dx and looks at every output whose window reaches into them.
template <class T>
void pool_put(const Pool3dGeometry& g, const T* dy, const std::int32_t* index, T* dx) {
  const std::int64_t c = g.channels, plane = g.in[1] * g.in[2], out_row = g.out[1] * g.out[2] * c;
  const std::int64_t rows =
      std::max(g.stride[0], g.kernel[0]);  // at least a window, so that few outputs are looked at twice
  const std::int64_t blocks = (g.in[0] + rows - 1) / rows;
  parallel_for(
      g.batch * blocks,
      [&](std::int64_t task) {
        const std::int64_t b = task / blocks, h0 = task % blocks * rows, h1 = std::min(g.in[0], h0 + rows);
        T* sample = dx + b * g.in_voxels() * c;
        std::fill(sample + h0 * plane * c, sample + h1 * plane * c, T{0});
        const std::int64_t first = h0 * plane, count = (h1 - h0) * plane;
        const std::int64_t begin = pool_users(g, 0, h0).begin, end = pool_users(g, 0, h1 - 1).end;
        for (std::int64_t o = (b * g.out[0] + begin) * out_row; o < (b * g.out[0] + end) * out_row; o += c)
          for (std::int64_t i = 0; i < c; ++i)
            if (static_cast<std::uint64_t>(index[o + i] - first) < static_cast<std::uint64_t>(count))
              sample[index[o + i] * c + i] += dy[o + i];
      },
      g.small());
}

/// y = mean over each window, of its positions inside the input.
template <class T>
void window_mean(const Pool3dGeometry& g, const T* x, T* y) {
  const std::int64_t c = g.channels;
  parallel_for(
      g.batch * g.out[0],
      [&](std::int64_t task) {
        const T* sample = x + task / g.out[0] * g.in_voxels() * c;
        T* to = y + task * g.out[1] * g.out[2] * c;
        const PoolRange hs = pool_window(g, 0, task % g.out[0]);
        for (std::int64_t ow = 0; ow < g.out[1]; ++ow)
          for (std::int64_t od = 0; od < g.out[2]; ++od, to += c) {
            const PoolRange ws = pool_window(g, 1, ow), ds = pool_window(g, 2, od);
            std::fill_n(to, c, T{0});
            for (std::int64_t h = hs.begin; h < hs.end; ++h)
              for (std::int64_t w = ws.begin; w < ws.end; ++w)
                for (std::int64_t d = ds.begin; d < ds.end; ++d) {
                  const T* from = sample + ((h * g.in[1] + w) * g.in[2] + d) * c;
                  for (std::int64_t i = 0; i < c; ++i) to[i] += from[i];
                }
            const T n = static_cast<T>(hs.size() * ws.size() * ds.size());
            for (std::int64_t i = 0; i < c; ++i) to[i] /= n;
          }
      },
      g.small());
}

/// The adjoint of window_mean: each input position collects from the windows that hold it.
template <class T>
void window_spread(const Pool3dGeometry& g, const T* dy, T* dx) {
  const std::int64_t c = g.channels;
  parallel_for(
      g.batch * g.in[0],
      [&](std::int64_t task) {
        const T* sample = dy + task / g.in[0] * g.out_voxels() * c;
        T* to = dx + task * g.in[1] * g.in[2] * c;
        const PoolRange hs = pool_users(g, 0, task % g.in[0]);
        for (std::int64_t w = 0; w < g.in[1]; ++w)
          for (std::int64_t d = 0; d < g.in[2]; ++d, to += c) {
            const PoolRange ws = pool_users(g, 1, w), ds = pool_users(g, 2, d);
            std::fill_n(to, c, T{0});
            for (std::int64_t oh = hs.begin; oh < hs.end; ++oh)
              for (std::int64_t ow = ws.begin; ow < ws.end; ++ow)
                for (std::int64_t od = ds.begin; od < ds.end; ++od) {
                  const T* from = sample + ((oh * g.out[1] + ow) * g.out[2] + od) * c;
                  const std::int64_t n =
                      pool_window(g, 0, oh).size() * pool_window(g, 1, ow).size() * pool_window(g, 2, od).size();
                  const T by = T{1} / static_cast<T>(n);
                  for (std::int64_t i = 0; i < c; ++i) to[i] += by * from[i];
                }
          }
      },
      g.small());
}

}  // namespace vg::detail
