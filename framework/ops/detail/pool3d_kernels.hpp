// Pooling loops over channels-last memory. The innermost loop is over channels. A task is a row of outputs (or of
// inputs, for the adjoints), so that no two tasks write to the same place.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "voxgrad/framework/base/threads.hpp"
#include "voxgrad/framework/kernels/pointwise/pool.hpp"
#include "voxgrad/framework/ops/conv3d.hpp"

namespace vg::detail {

struct Pool3dGeometry {
  std::int64_t batch, channels;
  Triple in, out, kernel, stride, before;
  bool adaptive = false;  ///< windows follow from in and out; kernel is the largest of them

  /// Whether there is nothing to read. Memory then does not limit the extents, and their products may overflow.
  bool empty() const { return batch == 0 || channels == 0; }
  std::int64_t in_voxels() const { return in[0] * in[1] * in[2]; }
  std::int64_t out_voxels() const { return out[0] * out[1] * out[2]; }
  /// Whether each voxel is in exactly one window.
  bool tiles() const {
    bool exact = true;
    for (std::size_t i = 0; i < 3; ++i)
      exact = exact && before[i] == 0 && kernel[i] == stride[i] && out[i] * stride[i] == in[i];
    return exact && !adaptive;
  }
  /// Whether there is too little work to wake threads for.
  bool small() const { return batch * channels * std::max(in_voxels(), out_voxels()) < 16384; }
};

struct PoolRange {
  std::int64_t begin, end;
  std::int64_t size() const { return end - begin; }
};

/// Input positions of the window of output o in dimension i, clipped to the input.
inline PoolRange pool_window(const Pool3dGeometry& g, std::size_t i, std::int64_t o) {
  if (g.adaptive) return {o * g.in[i] / g.out[i], ((o + 1) * g.in[i] + g.out[i] - 1) / g.out[i]};
  const std::int64_t start = o * g.stride[i] - g.before[i];
  return {std::max<std::int64_t>(0, start), std::min(g.in[i], start + g.kernel[i])};
}

/// Outputs whose window contains input position p in dimension i.
inline PoolRange pool_users(const Pool3dGeometry& g, std::size_t i, std::int64_t p) {
  // o * in < (p + 1) * out and (o + 1) * in > p * out: the same windows, seen from the input
  if (g.adaptive) return {p * g.out[i] / g.in[i], ((p + 1) * g.out[i] + g.in[i] - 1) / g.in[i]};
  const std::int64_t at = p + g.before[i], first = at - g.kernel[i] + 1;
  const std::int64_t begin = first <= 0 ? 0 : (first + g.stride[i] - 1) / g.stride[i];
  return {begin, std::min(g.out[i], at / g.stride[i] + 1)};
}

/// The begin and end of each output's window along D.
class PoolDepths {
 public:
  explicit PoolDepths(const Pool3dGeometry& g) {
    for (std::int64_t o = 0; o < g.out[2]; ++o) {
      const PoolRange range = pool_window(g, 2, o);
      begin_.push_back(range.begin);
      end_.push_back(range.end);
    }
  }
  kernels::PoolRow row(const Pool3dGeometry& g, std::int64_t oh, std::int64_t ow) const {
    const PoolRange hs = pool_window(g, 0, oh), ws = pool_window(g, 1, ow);
    return {g.channels, g.out[2], hs.begin, hs.end, ws.begin, ws.end, g.in[1], g.in[2], begin_.data(), end_.data()};
  }

 private:
  std::vector<std::int64_t> begin_, end_;
};

/// Calls f(row, a sample's first input, the row's first output) for all rows of outputs; a task is a plane of them.
template <class F>
void each_pool_row(const Pool3dGeometry& g, const F& f) {
  if (g.empty()) return;
  const PoolDepths depths(g);
  parallel_for(
      g.batch * g.out[0],
      [&](std::int64_t task) {
        const std::int64_t sample = task / g.out[0] * g.in_voxels() * g.channels;
        for (std::int64_t ow = 0; ow < g.out[1]; ++ow)
          f(depths.row(g, task % g.out[0], ow), sample, (task * g.out[1] + ow) * g.out[2] * g.channels);
      },
      g.small());
}

/// y = max over each window; NaN wins. `index` (or null) receives the first maximum's voxel number within its sample.
template <class T>
void max_pool(const Pool3dGeometry& g, const T* x, T* y, std::int32_t* index) {
  each_pool_row(g, [&](const kernels::PoolRow& row, std::int64_t sample, std::int64_t o) {
    kernels::max_pool_row(row, x + sample, y + o, index ? index + o : nullptr);
  });
}

/// y[o] = x[index[o]]
template <class T>
void pool_pick(const Pool3dGeometry& g, const T* x, const std::int32_t* index, T* y) {
  if (g.empty()) return;
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

/// dx = 0; dx[index[o]] += dy[o]. If windows overlap, each task owns some rows of dx and checks every output whose
/// window reaches into them. If windows tile the volume, each row of outputs owns its windows.
template <class T>
void pool_put(const Pool3dGeometry& g, const T* dy, const std::int32_t* index, T* dx) {
  if (g.empty()) return;
  if (g.tiles()) {
    each_pool_row(g, [&](const kernels::PoolRow& row, std::int64_t sample, std::int64_t o) {
      kernels::max_unpool_row(row, dy + o, index + o, dx + sample);
    });
    return;
  }
  const std::int64_t c = g.channels, plane = g.in[1] * g.in[2], out_row = g.out[1] * g.out[2] * c;
  const std::int64_t rows =
      std::max(g.stride[0], g.kernel[0]);  // at least a window, so that few outputs are checked twice
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

/// y = mean over each window's positions inside the input.
template <class T>
void window_mean(const Pool3dGeometry& g, const T* x, T* y) {
  if (g.empty()) return;
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

/// The adjoint of window_mean: each input position sums over the windows that contain it.
template <class T>
void window_spread(const Pool3dGeometry& g, const T* dy, T* dx) {
  if (g.empty()) return;
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
