#include "voxgrad/data/augment.hpp"

#include <fmt/format.h>

#include <string_view>

#include "voxgrad/data/gather.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/threads.hpp"

namespace vg::augment {

namespace {

constexpr std::int64_t grain = std::int64_t{1} << 16;

using Tables = std::array<detail::OffsetTable, 3>;

Tables whole(const Tensor& t) { return {detail::whole_axis(t, 0), detail::whole_axis(t, 1), detail::whole_axis(t, 2)}; }

detail::OffsetTable reversed(const Tensor& t, int axis) {
  const std::int64_t extent = t.dim(axis);
  return detail::offsets_along(t, axis, extent - 1, -1, extent);
}

/// Whether y shares x's space. Throws ValueError if y has a space of other extents; the message begins with [where].
bool has_space(std::string_view where, const Sample& sample) {
  const Triple extent = detail::extent_of(where, sample.x);
  if (!sample.y.defined() || sample.y.rank() < 3) return false;
  if (detail::extent_of(where, sample.y) != extent)
    throw ValueError(fmt::format("[{}] y: got shape {}; its first three extents must be those of x, {}", where,
                                 sample.y.shape().str(), sample.x.shape().str()));
  return true;
}

/// Applies the same geometry to x and, if it has space, to y.
template <class F>
Sample on_both(std::string_view where, const Sample& sample, F&& f) {
  const bool both = has_space(where, sample);
  return {f(sample.x), both ? f(sample.y) : sample.y};
}

void check_deviation(std::string_view where, std::string_view name, double value) {
  if (!(value >= 0 && value <= 1e30))
    throw ValueError(fmt::format("[{}] {}: got {}; it must be finite and not negative", where, name, value));
}

}  // namespace

Tensor shift(const Tensor& t, const Triple& offset, Edge edge) {
  constexpr std::int64_t limit = std::int64_t{1} << 40;
  const Triple extent = detail::extent_of("shift", t);
  Tables tables;
  for (std::size_t a = 0; a < 3; ++a) {
    if (offset[a] < -limit || offset[a] > limit)
      throw ValueError(fmt::format("[shift] offset: got {} for axis {}; it must be within 2^40", offset[a], a));
    tables[a] = detail::offsets_along(t, static_cast<int>(a), -offset[a], 1, extent[a], edge == Edge::wrap);
  }
  return detail::gather(t, tables);
}

Tensor flip(const Tensor& t, int axis) {
  detail::extent_of("flip", t);
  const int which = normalize_axis("flip", axis, 3);
  Tables tables = whole(t);
  tables[static_cast<std::size_t>(which)] = reversed(t, which);
  return detail::gather(t, tables);
}

Tensor rotate90(const Tensor& t, int times, const std::array<int, 2>& plane) {
  detail::extent_of("rotate90", t);
  const int first = normalize_axis("rotate90", plane[0], 3);
  const int second = normalize_axis("rotate90", plane[1], 3);
  if (first == second)
    throw ValueError(fmt::format("[rotate90] plane: got axes {} and {}; they must differ", plane[0], plane[1]));
  Tables tables = whole(t);
  auto& along_first = tables[static_cast<std::size_t>(first)];
  auto& along_second = tables[static_cast<std::size_t>(second)];
  switch (((times % 4) + 4) % 4) {
    case 1:  // out(i, j) = t(j, last - i)
      along_first = reversed(t, second);
      along_second = detail::whole_axis(t, first);
      break;
    case 2:
      along_first = reversed(t, first);
      along_second = reversed(t, second);
      break;
    case 3:  // out(i, j) = t(last - j, i)
      along_first = detail::whole_axis(t, second);
      along_second = reversed(t, first);
      break;
    default:
      break;
  }
  return detail::gather(t, tables);
}

Tensor intensity(const Tensor& x, double scale, double offset) {
  detail::extent_of("intensity", x);
  Tensor out(x.shape(), x.dtype());
  dispatch_float("intensity", x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* from = x.data<T>();
    T* to = out.data<T>();
    const auto a = static_cast<T>(scale);
    const auto b = static_cast<T>(offset);
    parallel_ranges(x.numel(), grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) to[i] = from[i] * a + b;
    });
  });
  return out;
}

Tensor noise(const random::Key& key, const Tensor& x, double standard_deviation) {
  detail::extent_of("noise", x);
  check_deviation("noise", "standard_deviation", standard_deviation);
  return dispatch_float("noise", x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    Tensor out = random::normal(key, x.shape(), 0, standard_deviation, x.dtype());
    const T* from = x.data<T>();
    T* to = out.data<T>();
    parallel_ranges(x.numel(), grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) to[i] += from[i];
    });
    return out;
  });
}

Sample random_shift(const random::Key& key, const Sample& sample, std::int64_t most, Edge edge) {
  if (most < 0 || most > (std::int64_t{1} << 30))
    throw ValueError(fmt::format("[random_shift] most: got {}; it must be in [0, 2^30]", most));
  const Tensor drawn = random::randint(key, {3}, -most, most + 1);
  const std::int32_t* v = drawn.data<std::int32_t>();
  return on_both("random_shift", sample, [&](const Tensor& t) { return shift(t, {v[0], v[1], v[2]}, edge); });
}

Sample random_flip(const random::Key& key, const Sample& sample, const std::vector<int>& axes, double probability) {
  if (!(probability >= 0 && probability <= 1))
    throw ValueError(fmt::format("[random_flip] probability: got {}; it must be in [0, 1]", probability));
  // Always make three draws, so that the result for one axis does not depend on the other axes.
  const Tensor drawn = random::uniform(key, {3});
  std::array<bool, 3> chosen{};
  for (const int axis : axes) {
    const auto a = static_cast<std::size_t>(normalize_axis("random_flip", axis, 3));
    chosen[a] = drawn.data<float>()[a] < static_cast<float>(probability);
  }
  return on_both("random_flip", sample, [&](const Tensor& t) {
    Tables tables = whole(t);
    for (std::size_t a = 0; a < 3; ++a)
      if (chosen[a]) tables[a] = reversed(t, static_cast<int>(a));
    return detail::gather(t, tables);
  });
}

Sample random_rotate90(const random::Key& key, const Sample& sample, const std::array<int, 2>& plane) {
  const Triple extent = detail::extent_of("random_rotate90", sample.x);
  const auto first = static_cast<std::size_t>(normalize_axis("random_rotate90", plane[0], 3));
  const auto second = static_cast<std::size_t>(normalize_axis("random_rotate90", plane[1], 3));
  int times = random::randint(key, {1}, 0, 4).data<std::int32_t>()[0];
  if (extent[first] != extent[second]) times = times / 2 * 2;
  return on_both("random_rotate90", sample, [&](const Tensor& t) { return rotate90(t, times, plane); });
}

Sample random_intensity(const random::Key& key, const Sample& sample, double scale_deviation, double offset_deviation) {
  check_deviation("random_intensity", "scale_deviation", scale_deviation);
  check_deviation("random_intensity", "offset_deviation", offset_deviation);
  const Tensor drawn = random::normal(key, {2}, 0, 1, f64);
  const double* n = drawn.data<double>();
  return {intensity(sample.x, 1 + scale_deviation * n[0], offset_deviation * n[1]), sample.y};
}

Sample random_noise(const random::Key& key, const Sample& sample, double standard_deviation) {
  return {noise(key, sample.x, standard_deviation), sample.y};
}

}  // namespace vg::augment
