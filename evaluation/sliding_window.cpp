#include "voxgrad/evaluation/sliding_window.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/threads.hpp"
#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/framework/ops/shape_ops.hpp"

namespace vg {

namespace {

/// Below this count, waking threads takes longer than it saves.
constexpr std::int64_t few = 16384;

struct Range {
  std::int64_t begin, end;
};

/// The positions of the windows. A start is below 0 if the volume is smaller than a window.
struct Grid {
  std::int64_t samples = 0, channels = 0;
  Triple volume{}, window{};
  std::array<std::vector<std::int64_t>, 3> starts{};

  std::int64_t per_sample() const {
    std::int64_t n = 1;
    for (const auto& s : starts) n *= static_cast<std::int64_t>(s.size());
    return n;
  }
  std::int64_t windows() const { return samples * per_sample(); }
  std::int64_t sample_of(std::int64_t i) const { return i / per_sample(); }
  /// Samples are outermost, then the axes in order.
  Triple start_of(std::int64_t i) const {
    Triple start{};
    for (std::size_t a = 3; a-- > 0; i /= static_cast<std::int64_t>(starts[a].size()))
      start[a] = starts[a][static_cast<std::size_t>(i % static_cast<std::int64_t>(starts[a].size()))];
    return start;
  }
  /// The part of [0, window) along an axis that is within the volume, for a window at `start`.
  Range inside(std::size_t a, std::int64_t start) const {
    return {std::max<std::int64_t>(0, -start), std::min(window[a], volume[a] - start)};
  }
};

/// Starts are `interval` apart until a window reaches the end; the last window ends at the volume's end.
std::vector<std::int64_t> starts_of(std::int64_t extent, std::int64_t window, double overlap) {
  if (window >= extent) return {-((window - extent) / 2)};
  const auto interval =
      std::max<std::int64_t>(1, static_cast<std::int64_t>(static_cast<double>(window) * (1 - overlap)));
  std::vector<std::int64_t> starts;
  for (std::int64_t at = 0; at + window < extent; at += interval) starts.push_back(at);
  starts.push_back(extent - window);
  return starts;
}

void check_volume(const Tensor& volume) {
  if (!volume.defined()) throw ValueError("[sliding_window] volume: the tensor is undefined");
  if (!is_float(volume.dtype())) throw_not_float("sliding_window", volume.dtype());
  if ((volume.rank() != 4 && volume.rank() != 5) || volume.numel() == 0)
    throw ValueError(
        fmt::format("[sliding_window] volume: got shape {}; must be (batch, height, width, depth, channels) or a "
                    "sample without batch, every extent at least 1",
                    volume.shape().str()));
}

void check_options(const SlidingWindowOptions& o) {
  for (std::int64_t w : o.window)
    if (w < dynamic)
      throw ValueError(fmt::format(
          "[sliding_window] window: got {}; every entry must be at least 1, or 0 or -1 for all of the axis", w));
  if (o.batch_size < 1)
    throw ValueError(fmt::format("[sliding_window] batch_size: got {}; must be at least 1", o.batch_size));
  if (!(o.overlap >= 0 && o.overlap < 1))
    throw ValueError(fmt::format("[sliding_window] overlap: got {}; must be in [0, 1)", o.overlap));
  if (!(o.sigma_scale > 0) || std::isinf(o.sigma_scale))
    throw ValueError(
        fmt::format("[sliding_window] sigma_scale: got {}; must be finite and greater than 0", o.sigma_scale));
  std::array<bool, 3> seen{};
  for (int axis : o.flips) {
    if (axis < 0 || axis > 2)
      throw ValueError(fmt::format("[sliding_window] flips: got axis {}; must be 0, 1 or 2", axis));
    if (std::exchange(seen[static_cast<std::size_t>(axis)], true))
      throw ValueError(fmt::format("[sliding_window] flips: got axis {} twice; each at most once", axis));
  }
}

Grid grid_of(const Shape& shape, const SlidingWindowOptions& o) {
  const bool batched = shape.rank() == 5;
  Grid g{.samples = batched ? shape[0] : 1, .channels = shape.back()};
  for (std::size_t a = 0; a < 3; ++a) {
    g.volume[a] = shape[a + (batched ? 1 : 0)];
    g.window[a] = o.window[a] < 1 ? g.volume[a] : o.window[a];
    g.starts[a] = starts_of(g.volume[a], g.window[a], o.overlap);
  }
  return g;
}

/// The windows [first, first + n) as (n, h, w, d, C).
Tensor load(const Grid& g, const Tensor& volume, std::int64_t first, std::int64_t n, double pad_value) {
  const std::int64_t h = g.window[0], w = g.window[1], d = g.window[2];
  Tensor windows({n, h, w, d, g.channels}, volume.dtype());
  dispatch_float("sliding_window", volume.dtype(), [&](auto type) {
    using T = decltype(type);
    const T* from = volume.data<T>();
    T* to = windows.data<T>();
    const std::int64_t c = g.channels, row = d * c;
    parallel_for(
        n * h,
        [&](std::int64_t task) {
          const std::int64_t i = task % h, sample = g.sample_of(first + task / h);
          const Triple start = g.start_of(first + task / h);
          const std::int64_t x = start[0] + i;
          const Range inside = g.inside(2, start[2]);
          for (std::int64_t j = 0; j < w; ++j) {
            const std::int64_t y = start[1] + j;
            T* line = to + (task * w + j) * row;
            const bool outside = x < 0 || x >= g.volume[0] || y < 0 || y >= g.volume[1];
            const std::int64_t begin = outside ? 0 : inside.begin * c, end = outside ? 0 : inside.end * c;
            std::fill(line, line + begin, static_cast<T>(pad_value));
            std::fill(line + end, line + row, static_cast<T>(pad_value));
            if (outside) continue;
            const std::int64_t z =
                ((sample * g.volume[0] + x) * g.volume[1] + y) * g.volume[2] + start[2] + inside.begin;
            std::copy_n(from + z * c, end - begin, line + begin);
          }
        },
        windows.numel() < few);
  });
  return windows;
}

/// The weight of each voxel of a window, (h, w, d).
Tensor weights_of(const Triple& window, const SlidingWindowOptions& o, DType dtype) {
  const Shape shape{window[0], window[1], window[2]};
  if (o.blending == Blending::constant) return Tensor::ones(shape, dtype);
  std::array<std::vector<double>, 3> along;
  double smallest = 1;
  for (std::size_t a = 0; a < 3; ++a) {
    const double sigma = o.sigma_scale * static_cast<double>(window[a]),
                 centre = static_cast<double>(window[a] - 1) / 2;
    for (std::int64_t i = 0; i < window[a]; ++i) {
      const double x = static_cast<double>(i) - centre;
      along[a].push_back(std::exp(-x * x / (2 * sigma * sigma)));
    }
    smallest *= along[a].front();
  }
  const double least = std::max(smallest, 1e-3);
  Tensor weights(shape, dtype);
  dispatch_float("sliding_window", dtype, [&](auto type) {
    auto* to = weights.data<decltype(type)>();
    for (double x : along[0])
      for (double y : along[1])
        for (double z : along[2]) *to++ = static_cast<decltype(type)>(std::max(x * y * z, least));
  });
  return weights;
}

/// The weighted sums of the windows' outputs, and the sums of the weights.
class Blend {
 public:
  Blend(const Grid& grid, const SlidingWindowOptions& options, std::int64_t channels, DType dtype)
      : grid_(grid),
        channels_(channels),
        weights_(weights_of(grid.window, options, dtype)),
        sums_(Tensor::zeros({grid.samples, grid.volume[0], grid.volume[1], grid.volume[2], channels}, dtype)),
        totals_(Tensor::zeros({grid.volume[0], grid.volume[1], grid.volume[2]}, dtype)) {}

  /// Adds the windows [first, first + n) in order, so that the sums do not depend on the number of threads.
  void add(std::int64_t first, const Tensor& outputs) {
    dispatch_float("sliding_window", sums_.dtype(), [&](auto type) {
      using T = decltype(type);
      const T* from = outputs.data<T>();
      for (std::int64_t i = 0; i < outputs.dim(0); ++i, from += weights_.numel() * channels_) add_one(first + i, from);
    });
  }

  /// The sums divided by the weights and by `parts`, the number of outputs summed per window.
  Tensor mean(double parts) {
    dispatch_float("sliding_window", sums_.dtype(), [&](auto type) {
      using T = decltype(type);
      T* sums = sums_.data<T>();
      const T* totals = totals_.data<T>();
      parallel_ranges(grid_.samples * totals_.numel(), 16384, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t v = begin; v < end; ++v) {
          const T by = totals[v % totals_.numel()] * static_cast<T>(parts);
          for (std::int64_t c = 0; c < channels_; ++c) sums[v * channels_ + c] /= by;
        }
      });
    });
    return sums_;
  }

 private:
  template <class T>
  void add_one(std::int64_t index, const T* from) {
    const Triple start = grid_.start_of(index);
    const std::int64_t sample = grid_.sample_of(index), c = channels_;
    const Range rows = grid_.inside(0, start[0]), columns = grid_.inside(1, start[1]),
                depth = grid_.inside(2, start[2]);
    T *sums = sums_.data<T>(), *totals = totals_.data<T>();
    const T* weights = weights_.data<T>();
    parallel_for(
        rows.end - rows.begin,
        [&](std::int64_t task) {
          const std::int64_t i = rows.begin + task;
          for (std::int64_t j = columns.begin; j < columns.end; ++j) {
            const std::int64_t line = (i * grid_.window[1] + j) * grid_.window[2];
            const std::int64_t at = ((start[0] + i) * grid_.volume[1] + start[1] + j) * grid_.volume[2] + start[2];
            for (std::int64_t k = depth.begin; k < depth.end; ++k) {
              const T weight = weights[line + k];
              const T* output = from + (line + k) * c;
              T* to = sums + (sample * totals_.numel() + at + k) * c;
              for (std::int64_t o = 0; o < c; ++o) to[o] += weight * output[o];
            }
            for (std::int64_t k = depth.begin; k < depth.end && sample == 0; ++k) totals[at + k] += weights[line + k];
          }
        },
        weights_.numel() * c < few);
  }

  const Grid& grid_;
  std::int64_t channels_;
  Tensor weights_, sums_, totals_;  ///< the sums of weights are the same for every sample
};

void check_output(const Variable& y, const Tensor& windows, const Tensor* first) {
  Shape wanted = windows.shape();
  if (!y.defined()) throw ValueError("[sliding_window] the output for a batch of windows is undefined");
  if (!is_float(y.dtype())) throw_not_float("sliding_window", y.dtype());
  if (y.rank() == 5) wanted[4] = first ? first->shape().back() : std::max<std::int64_t>(1, y.shape().back());
  if (y.shape() != wanted)
    throw ValueError(fmt::format(
        "[sliding_window] got {} for windows {}; must have their extents, and the same number of channels, at least 1",
        y.shape().str(), windows.shape().str()));
  if (first && y.dtype() != first->dtype())
    throw TypeError(fmt::format("[sliding_window] got an output of {} after one of {}; must always be the same",
                                name_of(y.dtype()), name_of(first->dtype())));
}

/// The axes of (n, h, w, d, C) to flip for the combination `bits`.
std::vector<int> flipped_axes(const std::vector<int>& flips, unsigned bits) {
  std::vector<int> axes;
  for (std::size_t i = 0; i < flips.size(); ++i)
    if (bits >> i & 1u) axes.push_back(flips[i] + 1);
  return axes;
}

/// The sum of the outputs over all combinations of flips.
Tensor predict_flipped(const std::function<Variable(const Variable&)>& predict, const Tensor& windows,
                       const std::vector<int>& flips) {
  Tensor sum;
  for (unsigned bits = 0; bits < 1u << flips.size(); ++bits) {
    const std::vector<int> axes = flipped_axes(flips, bits);
    Variable y = predict(axes.empty() ? Variable(windows) : flip(windows, axes));
    check_output(y, windows, bits == 0 ? nullptr : &sum);
    if (bits == 0) {
      sum = y.value();
      y = {};  // release it: make_unique() would copy a shared sum
    } else {
      sum.make_unique();  // the output may be the window itself, or kept by the function
      add_in_place(sum, flip(y, axes).value());
    }
  }
  return sum;
}

}  // namespace

Tensor sliding_window(const std::function<Variable(const Variable&)>& predict, const Tensor& volume,
                      const SlidingWindowOptions& options) {
  if (!predict) throw ValueError("[sliding_window] predict: got an empty function");
  check_volume(volume);
  check_options(options);
  const NoGradGuard no_grad;
  const Grid grid = grid_of(volume.shape(), options);
  std::optional<Blend> blend;
  Tensor like;  // one element of the first output; it keeps its channels and dtype
  for (std::int64_t first = 0; first < grid.windows();) {
    const std::int64_t n = std::min(options.batch_size, grid.windows() - first);
    const Tensor windows = load(grid, volume, first, n, options.pad_value);
    const Tensor outputs = predict_flipped(predict, windows, options.flips);
    if (!blend) {
      blend.emplace(grid, options, outputs.shape().back(), outputs.dtype());
      like = Tensor({1, outputs.shape().back()}, outputs.dtype());
    }
    check_output(outputs, windows, &like);
    blend->add(first, outputs);
    first += n;
    if (options.progress) options.progress(first, grid.windows());
  }
  const Tensor result = blend->mean(std::exp2(static_cast<double>(options.flips.size())));
  if (volume.rank() == 5) return result;
  return result.reshape({grid.volume[0], grid.volume[1], grid.volume[2], result.shape().back()});
}

Tensor sliding_window(Module& model, const Tensor& volume, const SlidingWindowOptions& options) {
  const FitGuard evaluation(model, false);
  return sliding_window([&](const Variable& x) { return model(x); }, volume, options);
}

}  // namespace vg
