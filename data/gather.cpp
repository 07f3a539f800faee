#include "voxgrad/data/gather.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/threads.hpp"

namespace vg::detail {

Triple extent_of(std::string_view where, const Tensor& t) {
  if (!t.defined()) throw ValueError(fmt::format("[{}] the tensor is undefined", where));
  if (t.rank() != 3 && t.rank() != 4)
    throw ValueError(fmt::format("[{}] shape: got {}; expected (H, W, D) or (H, W, D, C)", where, t.shape().str()));
  return {t.dim(0), t.dim(1), t.dim(2)};
}

std::int64_t channels_of(const Tensor& t) { return t.rank() == 4 ? t.dim(3) : 1; }

Triple strides_of(const Tensor& t) {
  const std::int64_t channels = channels_of(t);
  return {t.dim(1) * t.dim(2) * channels, t.dim(2) * channels, channels};
}

OffsetTable offsets_along(const Tensor& t, int axis, std::int64_t first, std::int64_t step, std::int64_t count,
                          bool wrap) {
  const std::int64_t extent = t.dim(axis);
  const std::int64_t stride = strides_of(t)[static_cast<std::size_t>(axis)];
  OffsetTable table(static_cast<std::size_t>(count), -1);
  for (std::int64_t i = 0; i < count; ++i) {
    std::int64_t index = first + i * step;
    if (wrap) index = ((index % extent) + extent) % extent;
    if (index >= 0 && index < extent) table[static_cast<std::size_t>(i)] = index * stride;
  }
  return table;
}

OffsetTable whole_axis(const Tensor& t, int axis) { return offsets_along(t, axis, 0, 1, t.dim(axis)); }

Tensor gather(const Tensor& t, const std::array<OffsetTable, 3>& tables, double fill) {
  // Written so that NaN also fails the check.
  if (t.dtype() == i32 && !(fill >= -2147483648.0 && fill <= 2147483647.0 && std::trunc(fill) == fill))
    throw ValueError(fmt::format("[pad] value: got {} for an i32 tensor; it must be a whole number of 32 bits", fill));
  const std::int64_t channels = channels_of(t);
  const auto height = static_cast<std::int64_t>(tables[0].size());
  const auto width = static_cast<std::int64_t>(tables[1].size());
  Shape shape{height, width, static_cast<std::int64_t>(tables[2].size())};
  if (t.rank() == 4) shape.push_back(channels);
  Tensor out(shape, t.dtype());
  const std::int64_t row = static_cast<std::int64_t>(tables[2].size()) * channels;
  dispatch(t.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* source = t.data<T>();
    T* target = out.data<T>();
    const T filling = static_cast<T>(fill);
    parallel_for(height, [&](std::int64_t i) {
      const std::int64_t plane = tables[0][static_cast<std::size_t>(i)];
      for (std::int64_t j = 0; j < width; ++j) {
        const std::int64_t line = tables[1][static_cast<std::size_t>(j)];
        T* to = target + (i * width + j) * row;
        if (plane < 0 || line < 0) {
          std::fill(to, to + row, filling);
          continue;
        }
        for (const std::int64_t offset : tables[2]) {
          if (offset < 0)
            std::fill(to, to + channels, filling);
          else
            std::copy_n(source + plane + line + offset, channels, to);
          to += channels;
        }
      }
    });
  });
  return out;
}

}  // namespace vg::detail
