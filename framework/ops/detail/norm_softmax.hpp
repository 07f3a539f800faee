// Softmax over K values at many positions. Positions are processed in blocks transposed to [K][positions], so that
// every loop runs over neighbouring positions and vectorises for any K and any axis.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "voxgrad/framework/base/fast_math.hpp"
#include "voxgrad/framework/base/memory.hpp"
#include "voxgrad/framework/base/threads.hpp"

namespace vg::detail {

/// Where element k of position p is in a row-major (outer, classes, inner) array.
struct SoftmaxLayout {
  std::int64_t outer, classes, inner;

  std::int64_t positions() const { return outer * inner; }
  std::int64_t step() const { return inner; }  ///< distance from class to class
};

/// Calls f(W) with the number of positions per block as a constant, small enough that W * classes elements stay in the
/// first caches.
template <class F>
decltype(auto) with_softmax_block(std::int64_t classes, F&& f) {
  if (classes <= 64) return f(std::integral_constant<std::int64_t, 64>{});
  return f(std::integral_constant<std::int64_t, 8>{});
}

/// Calls f(first element, distance between positions, number of positions, offset in block) for the runs of [p, p + n).
template <class F>
void softmax_runs(const SoftmaxLayout& l, std::int64_t p, std::int64_t n, F&& f) {
  if (l.inner == 1) return f(p * l.classes, l.classes, n, std::int64_t{0});
  for (std::int64_t done = 0; done < n;) {
    const std::int64_t o = (p + done) / l.inner, i = (p + done) % l.inner, m = std::min(n - done, l.inner - i);
    f(o * l.classes * l.inner + i, std::int64_t{1}, m, done);
    done += m;
  }
}

/// to[k * W + v] = element k of position p + v for v < n; zero for the other v < W.
template <std::int64_t W, class T>
void softmax_load(const SoftmaxLayout& l, const T* from, std::int64_t p, std::int64_t n, T* to) {
  if (n < W) std::fill_n(to, l.classes * W, T{0});
  softmax_runs(l, p, n, [&](std::int64_t first, std::int64_t distance, std::int64_t m, std::int64_t at) {
    for (std::int64_t k = 0; k < l.classes; ++k)
      for (std::int64_t v = 0; v < m; ++v) to[k * W + at + v] = from[first + k * l.step() + v * distance];
  });
}

template <std::int64_t W, class T>
void softmax_store(const SoftmaxLayout& l, const T* from, std::int64_t p, std::int64_t n, T* to) {
  softmax_runs(l, p, n, [&](std::int64_t first, std::int64_t distance, std::int64_t m, std::int64_t at) {
    if (distance == 1) {
      for (std::int64_t k = 0; k < l.classes; ++k) std::copy_n(from + k * W + at, m, to + first + k * l.step());
    } else {
      for (std::int64_t v = 0; v < m; ++v)
        for (std::int64_t k = 0; k < l.classes; ++k) to[first + v * distance + k] = from[k * W + at + v];
    }
  });
}

/// z[k][v] -= max over k; total[v] = sum over k of exp(z[k][v]). The exponentials go to e, if not null (e may be z).
template <std::int64_t W, class T>
void softmax_sum(std::int64_t classes, T* z, T* e, T* total) {
  T top[W], sum[W] = {}, now[W];  // local arrays, so that the compiler can exclude aliasing
  std::copy_n(z, W, top);
  for (std::int64_t k = 1; k < classes; ++k)
    for (std::int64_t v = 0; v < W; ++v) top[v] = z[k * W + v] > top[v] ? z[k * W + v] : top[v];
  for (std::int64_t k = 0; k < classes; ++k) {
    for (std::int64_t v = 0; v < W; ++v) now[v] = z[k * W + v] - top[v];
    std::copy_n(now, W, z + k * W);
    for (std::int64_t v = 0; v < W; ++v) now[v] = fast_exp_flushed(now[v]);
    for (std::int64_t v = 0; v < W; ++v) sum[v] += now[v];
    if (e) std::copy_n(now, W, e + k * W);
  }
  std::copy_n(sum, W, total);
}

/// Runs body(first position, count) over blocks of W positions, many blocks per task, with one make_body() per task.
template <std::int64_t W, class F>
void softmax_blocks(const SoftmaxLayout& l, F&& make_body) {
  const std::int64_t positions_per_task =
      W * std::max<std::int64_t>(1, 32768 / (W * std::max<std::int64_t>(1, l.classes)));
  parallel_ranges(l.positions(), positions_per_task, [&](std::int64_t begin, std::int64_t end) {
    auto body = make_body();
    for (std::int64_t p = begin; p < end; p += W) body(p, std::min(W, end - p));
  });
}

template <class T>
void softmax_forward(const SoftmaxLayout& l, bool logarithm, const T* x, T* y) {
  with_softmax_block(l.classes, [&](auto block) {
    constexpr std::int64_t w = decltype(block)::value;
    softmax_blocks<w>(l, [&] {
      return [&, z = memory::Scratch<T>(w * l.classes)](std::int64_t p, std::int64_t n) mutable {
        T *zs = z.data(), sum[w];
        softmax_load<w>(l, x, p, n, zs);
        softmax_sum<w>(l.classes, zs, logarithm ? nullptr : zs, sum);
        for (std::int64_t v = 0; v < w; ++v) sum[v] = logarithm ? fast_log(sum[v]) : T{1} / sum[v];
        for (std::int64_t k = 0; k < l.classes; ++k) {
          T* row = zs + k * w;
          for (std::int64_t v = 0; v < w; ++v) row[v] = logarithm ? row[v] - sum[v] : row[v] * sum[v];
        }
        softmax_store<w>(l, zs, p, n, y);
      };
    });
  });
}

/// Softmax: dx = y * (dy - sum(dy * y)). Its logarithm: dx = dy - exp(y) * sum(dy).
template <class T>
void softmax_backward(const SoftmaxLayout& l, bool logarithm, const T* y, const T* dy, T* dx) {
  with_softmax_block(l.classes, [&](auto block) {
    constexpr std::int64_t w = decltype(block)::value;
    softmax_blocks<w>(l, [&] {
      return [&, ys = memory::Scratch<T>(w * l.classes), gs = memory::Scratch<T>(w * l.classes)](
                 std::int64_t p, std::int64_t n) mutable {
        T *yv = ys.data(), *gv = gs.data(), sum[w] = {};
        softmax_load<w>(l, y, p, n, yv);
        softmax_load<w>(l, dy, p, n, gv);
        for (std::int64_t k = 0; k < l.classes; ++k)
          for (std::int64_t v = 0; v < w; ++v) sum[v] += logarithm ? gv[k * w + v] : gv[k * w + v] * yv[k * w + v];
        for (std::int64_t k = 0; k < l.classes; ++k) {
          const T* o = yv + k * w;
          T now[w];
          for (std::int64_t v = 0; v < w; ++v) now[v] = gv[k * w + v];
          if (logarithm) {
            for (std::int64_t v = 0; v < w; ++v) now[v] -= fast_exp_flushed(o[v]) * sum[v];
          } else {
            for (std::int64_t v = 0; v < w; ++v) now[v] = o[v] * (now[v] - sum[v]);
          }
          std::copy_n(now, w, gv + k * w);
        }
        softmax_store<w>(l, gv, p, n, dx);
      };
    });
  });
}

}  // namespace vg::detail
