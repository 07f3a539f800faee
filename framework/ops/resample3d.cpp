// Upsampling and adaptive average pooling. Each is a linear map along each of the three spatial axes, computed as three
// passes of one loop, each with the axis's sparse matrix. The transpose of the map has the same form, so the gradient
// is the same op with the transposed matrix: exact, and of any order.
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <numeric>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/threads.hpp"
#include "voxgrad/framework/ops/detail/map.hpp"
#include "voxgrad/framework/ops/pool3d.hpp"

namespace vg {

namespace {

// A sparse matrix by rows: output r is the sum of weights[k] * input[columns[k]] for k in [starts[r], starts[r + 1]).
struct Rows {
  std::int64_t inputs = 0;
  std::vector<std::int64_t> starts{0}, columns;
  std::vector<double> weights;

  std::int64_t outputs() const { return static_cast<std::int64_t>(starts.size()) - 1; }
  void add(std::int64_t column, double weight) {
    columns.push_back(column);
    weights.push_back(weight);
  }
  void end_row() { starts.push_back(static_cast<std::int64_t>(columns.size())); }
};

Rows transposed(const Rows& m) {
  Rows t;
  t.inputs = m.outputs();
  t.starts.assign(static_cast<std::size_t>(m.inputs) + 1, 0);
  for (const std::int64_t c : m.columns) ++t.starts[static_cast<std::size_t>(c) + 1];
  for (std::size_t i = 1; i < t.starts.size(); ++i) t.starts[i] += t.starts[i - 1];
  t.columns.resize(m.columns.size());
  t.weights.resize(m.columns.size());
  std::vector<std::int64_t> next(t.starts.begin(), t.starts.end() - 1);
  for (std::size_t r = 0; r + 1 < m.starts.size(); ++r)
    for (auto k = static_cast<std::size_t>(m.starts[r]); k < static_cast<std::size_t>(m.starts[r + 1]); ++k) {
      const auto to = static_cast<std::size_t>(next[static_cast<std::size_t>(m.columns[k])]++);
      t.columns[to] = static_cast<std::int64_t>(r);
      t.weights[to] = m.weights[k];
    }
  return t;
}

// The matrix and its transpose, shared by an op and its gradients.
struct Resampling {
  Rows forward, backward;
};
using Shared = std::shared_ptr<const Resampling>;

Shared shared(Rows rows) {
  Rows back = transposed(rows);
  return std::make_shared<const Resampling>(Resampling{std::move(rows), std::move(back)});
}

// y[i] = sum over the row's entries of weight * x[column][i], for n adjacent elements.
template <class T>
void combine(const Rows& m, std::int64_t row, const T* x, std::int64_t stride, std::int64_t n, T* y) {
  const auto first = static_cast<std::size_t>(m.starts[static_cast<std::size_t>(row)]),
             last = static_cast<std::size_t>(m.starts[static_cast<std::size_t>(row) + 1]);
  if (first == last) return std::fill_n(y, n, T{0}), void();
  std::size_t k = first;
  if (last - first == 1) {
    const T a = static_cast<T>(m.weights[k]);
    const T* __restrict from = x + m.columns[k] * stride;
    for (std::int64_t i = 0; i < n; ++i) y[i] = a * from[i];
    return;
  }
  {
    const T a = static_cast<T>(m.weights[k]), b = static_cast<T>(m.weights[k + 1]);
    const T* __restrict p = x + m.columns[k] * stride, * __restrict q = x + m.columns[k + 1] * stride;
    for (std::int64_t i = 0; i < n; ++i) y[i] = a * p[i] + b * q[i];
  }
  for (k += 2; k < last; ++k) {
    const T a = static_cast<T>(m.weights[k]);
    const T* __restrict from = x + m.columns[k] * stride;
    for (std::int64_t i = 0; i < n; ++i) y[i] += a * from[i];
  }
}

// x as (outer, m.inputs, inner) -> (outer, m.outputs(), inner). A task is several rows of outputs, or a part of a row.
template <class T>
void resample(const Rows& m, std::int64_t outer, std::int64_t inner, const T* x, T* y) {
  constexpr std::int64_t task_size = 16384;
  const std::int64_t outputs = m.outputs(), rows = outer * outputs;
  if (rows == 0 || inner == 0) return;
  const std::int64_t pieces = (inner + task_size - 1) / task_size, piece = (inner + pieces - 1) / pieces;
  const std::int64_t rows_a_task = std::max<std::int64_t>(1, task_size / inner);
  const std::int64_t groups = (rows + rows_a_task - 1) / rows_a_task;
  parallel_for(
      groups * pieces,
      [&](std::int64_t task) {
        const std::int64_t begin = task / pieces * rows_a_task, end = std::min(rows, begin + rows_a_task);
        const std::int64_t from = task % pieces * piece, count = std::min(inner, from + piece) - from;
        for (std::int64_t r = begin; r < end; ++r)
          combine(m, r % outputs, x + r / outputs * m.inputs * inner + from, inner, count, y + r * inner + from);
      },
      rows * inner < task_size);
}

Variable along(std::string_view op, const Variable& x, int axis, const Shared& map, bool back) {
  const Rows& m = back ? map->backward : map->forward;
  Shape shape = x.shape();
  std::int64_t outer = 1, inner = 1;
  for (int i = 0; i < x.rank(); ++i) (i < axis ? outer : inner) *= i == axis ? 1 : x.dim(i);
  shape[static_cast<std::size_t>(axis)] = m.outputs();
  Tensor y =
      detail::filled(op, shape, x.dtype(), [&]<class T>(T* to) { resample(m, outer, inner, x.value().data<T>(), to); });
  return record(
      op, std::move(y), {x},
      [op, axis, map, back](const VjpContext& pull) -> Grads { return {along(op, pull.grad, axis, map, !back)}; },
      SaveOutput::no);
}

void check(std::string_view op, std::string_view name, const Variable& x, const Triple& size) {
  if (x.rank() != 5)
    throw ValueError(fmt::format("[{}] x: got shape {}; must be of rank 5, (batch, height, width, depth, channels)", op,
                                 x.shape().str()));
  if (!is_float(x.dtype())) throw_not_float(op, x.dtype());
  for (std::size_t i = 0; i < 3; ++i) {
    if (size[i] < 1 || size[i] > INT32_MAX)
      throw ValueError(
          fmt::format("[{}] {}: got {}; every entry must be in [1, 2147483647]", op, name, detail::str(size)));
    if (const std::int64_t extent = x.dim(static_cast<int>(i) + 1); extent < 1 || extent > INT32_MAX)
      throw ValueError(fmt::format("[{}] x: got shape {}; every spatial extent must be at least 1 (and below 2^31)", op,
                                   x.shape().str()));
  }
}

// The memory that this process may use, in bytes: the machine's memory, or less if limited by `ulimit -v`.
double memory_limit() {
  double bytes = static_cast<double>(::sysconf(_SC_PHYS_PAGES)) * static_cast<double>(::sysconf(_SC_PAGESIZE));
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
    bytes = std::min(bytes, static_cast<double>(limit.rlim_cur));
  return bytes;
}

// Checks, before the first table is built, the total size of the results and tables of all passes in `order`. A small
// `size` in a file can make them larger than any machine's memory. Computed in double, because the products may exceed
// 2^63.
void check_fits(std::string_view op, const Variable& x, const Triple& size, const std::array<int, 3>& order) {
  constexpr double entry = sizeof(std::int64_t) + sizeof(double), start = sizeof(std::int64_t);
  const Shape& from = x.shape();
  std::array<double, 5> now{};
  for (std::size_t i = 0; i < now.size(); ++i) now[i] = static_cast<double>(from[i]);
  double bytes = 0;
  for (const int axis : order) {
    const auto a = static_cast<std::size_t>(axis);
    const double in = now[a], out = static_cast<double>(size[a - 1]);
    if (in == out) continue;
    now[a] = out;
    bytes += std::accumulate(now.begin(), now.end(), static_cast<double>(size_of(x.dtype())), std::multiplies<>());
    bytes += 2 * (in + out) * (entry + start);  // forward and back; at least one entry per input and output
  }
  if (const double most = memory_limit(); bytes > most)
    throw ValueError(
        fmt::format("[{}] size: got {} for x {}: the result and the intermediate results need {:.0f} bytes; must be at "
                    "most {:.0f}, the memory of this machine or process",
                    op, detail::str(size), from.str(), bytes, most));
}

// PyTorch's positions. With align_corners, the first and last voxels keep their places. Otherwise voxels are cuboids
// that tile the same volume, positions before the first centre get its value, and `step` is the distance between
// outputs.
Rows linear_rows(std::int64_t in, std::int64_t out, bool align_corners, double step) {
  Rows m;
  m.inputs = in;
  for (std::int64_t o = 0; o < out; ++o) {
    const auto at = static_cast<double>(o);
    const double ratio =
        align_corners ? (out > 1 ? static_cast<double>(in - 1) / static_cast<double>(out - 1) : 0) : step;
    const double source = align_corners ? at * ratio : std::max(0.0, (at + 0.5) * ratio - 0.5);
    const std::int64_t low = std::min(static_cast<std::int64_t>(source), in - 1);
    const double part = source - static_cast<double>(low);
    if (low + 1 < in && part > 0) {
      m.add(low, 1 - part);
      m.add(low + 1, part);
    } else {
      m.add(low, 1);
    }
    m.end_row();
  }
  return m;
}

Rows mean_rows(std::int64_t in, std::int64_t out) {
  Rows m;
  m.inputs = in;
  for (std::int64_t o = 0; o < out; ++o) {
    const std::int64_t begin = o * in / out, end = ((o + 1) * in + out - 1) / out;
    for (std::int64_t i = begin; i < end; ++i) m.add(i, 1 / static_cast<double>(end - begin));
    m.end_row();
  }
  return m;
}

Rows repeated_rows(std::int64_t in, std::int64_t scale) {
  Rows m;
  m.inputs = in;
  for (std::int64_t o = 0; o < in * scale; ++o) {
    m.add(o / scale, 1);
    m.end_row();
  }
  return m;
}

}  // namespace

Variable upsample_nearest3d(const Variable& x, const Triple& scale) {
  check("upsample_nearest3d", "scale", x, scale);
  Triple size{};
  for (std::size_t i = 0; i < 3; ++i) size[i] = x.dim(static_cast<int>(i) + 1) * scale[i];
  check_fits("upsample_nearest3d", x, size, {3, 2, 1});
  Variable y = x;
  for (int axis = 3; axis >= 1; --axis)
    if (const std::int64_t times = scale[static_cast<std::size_t>(axis) - 1]; times != 1)
      y = along("upsample_nearest3d", y, axis, shared(repeated_rows(x.dim(axis), times)), false);
  return y;
}

namespace {

// Axis D comes first, when the volume is smallest, because its inner loop is only as long as the channels.
Variable trilinear(const Variable& x, const Triple& size, bool align_corners, const std::array<double, 3>& step) {
  check("upsample_trilinear3d", "size", x, size);
  check_fits("upsample_trilinear3d", x, size, {3, 2, 1});
  Variable y = x;
  for (std::size_t i = 3; i-- > 0;) {
    const int axis = static_cast<int>(i) + 1;
    const std::int64_t in = x.dim(axis), out = size[i];
    if (in == out) continue;  // a copy for any step
    y = along("upsample_trilinear3d", y, axis, shared(linear_rows(in, out, align_corners, step[i])), false);
  }
  return y;
}

}  // namespace

Variable upsample_trilinear3d(const Variable& x, const Triple& size, bool align_corners) {
  check("upsample_trilinear3d", "size", x, size);
  std::array<double, 3> step{};
  for (std::size_t i = 0; i < 3; ++i)
    step[i] = static_cast<double>(x.dim(static_cast<int>(i) + 1)) / static_cast<double>(size[i]);
  return trilinear(x, size, align_corners, step);
}

Variable rescale_trilinear3d(const Variable& x, const std::array<double, 3>& factor, bool align_corners) {
  check("rescale_trilinear3d", "factor", x, {1, 1, 1});
  Triple size{};
  std::array<double, 3> step{};
  for (std::size_t i = 0; i < 3; ++i) {
    const double extent = std::floor(static_cast<double>(x.dim(static_cast<int>(i) + 1)) * factor[i]);
    if (!(factor[i] > 0 && extent >= 1 && extent <= INT32_MAX))
      throw ValueError(fmt::format(
          "[rescale_trilinear3d] factor: got ({}, {}, {}) for x {}; must be positive and give 1 to 2147483647 voxels",
          factor[0], factor[1], factor[2], x.shape().str()));
    size[i] = static_cast<std::int64_t>(extent);
    step[i] = 1 / factor[i];
  }
  return trilinear(x, size, align_corners, step);
}

// Axis H comes first, because its inner loop is the longest; the volume is then smaller for the other axes.
Variable adaptive_avg_pool3d(const Variable& x, const Triple& size) {
  check("adaptive_avg_pool3d", "size", x, size);
  check_fits("adaptive_avg_pool3d", x, size, {1, 2, 3});
  Variable y = x;
  for (int axis = 1; axis <= 3; ++axis) {
    const std::int64_t in = x.dim(axis), out = size[static_cast<std::size_t>(axis) - 1];
    if (in != out) y = along("adaptive_avg_pool3d", y, axis, shared(mean_rows(in, out)), false);
  }
  return y;
}

}  // namespace vg
