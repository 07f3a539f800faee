#include "voxgrad/data/volume.hpp"

#include <fmt/format.h>

#include <cmath>
#include <string>

#include "voxgrad/data/gather.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/threads.hpp"

namespace vg {

namespace {

constexpr std::array<char, 3> axis_name = {'H', 'W', 'D'};

/// The affine of a grid whose voxel (0, 0, 0) is at voxel `origin` of the old grid, with steps of `step` old voxels.
Affine moved(const Affine& a, const std::array<double, 3>& origin, const std::array<double, 3>& step) {
  Affine out = identity_affine;
  for (std::size_t row = 0; row < 3; ++row) {
    out[4 * row + 3] = a[4 * row + 3];
    for (std::size_t axis = 0; axis < 3; ++axis) {
      out[4 * row + axis] = a[4 * row + axis] * step[axis] + 0.0;  // + 0.0 avoids -0 from a reversed axis
      out[4 * row + 3] += a[4 * row + axis] * origin[axis];
    }
  }
  return out;
}

std::array<double, 3> as_double(const Triple& v) {
  return {static_cast<double>(v[0]), static_cast<double>(v[1]), static_cast<double>(v[2])};
}

/// The number of whole blocks per axis.
Triple blocks(std::string_view where, const Triple& extent, const Triple& factor) {
  Triple out{};
  for (std::size_t a = 0; a < 3; ++a) {
    if (factor[a] < 1 || factor[a] > extent[a])
      throw ValueError(fmt::format("[{}] factor: got {} for axis {}; it must be between 1 and the extent, {}", where,
                                   factor[a], axis_name[a], extent[a]));
    out[a] = extent[a] / factor[a];
  }
  return out;
}

Affine block_affine(const Affine& affine, const Triple& factor) {
  const std::array<double, 3> step = as_double(factor);
  return moved(affine, {(step[0] - 1) / 2, (step[1] - 1) / 2, (step[2] - 1) / 2}, step);
}

/// Computes the means of one plane of blocks, [width][depth][channels]. Each sum runs over its block in row-major
/// order.
template <class T, class Out>
void mean_plane(const T* block_row, const Triple& strides, const Triple& count, const Triple& factor,
                std::int64_t channels, Out* out) {
  const double scale = 1.0 / static_cast<double>(factor[0] * factor[1] * factor[2]);
  for (std::int64_t j = 0; j < count[1]; ++j)
    for (std::int64_t k = 0; k < count[2]; ++k)
      for (std::int64_t c = 0; c < channels; ++c) {
        const T* block = block_row + j * factor[1] * strides[1] + k * factor[2] * strides[2] + c;
        double sum = 0;
        for (std::int64_t a = 0; a < factor[0]; ++a)
          for (std::int64_t b = 0; b < factor[1]; ++b)
            for (std::int64_t d = 0; d < factor[2]; ++d)
              sum += static_cast<double>(block[a * strides[0] + b * strides[1] + d * strides[2]]);
        *out++ = static_cast<Out>(sum * scale);
      }
}

}  // namespace

Triple Volume::extent() const { return detail::extent_of("volume", data); }

std::int64_t Volume::channels() const {
  detail::extent_of("volume", data);
  return detail::channels_of(data);
}

std::array<double, 3> Volume::spacing() const {
  std::array<double, 3> out{};
  for (std::size_t a = 0; a < 3; ++a)
    out[a] = std::sqrt(affine[a] * affine[a] + affine[4 + a] * affine[4 + a] + affine[8 + a] * affine[8 + a]);
  return out;
}

std::array<double, 3> Volume::world(double i, double j, double k) const {
  std::array<double, 3> out{};
  for (std::size_t row = 0; row < 3; ++row)
    out[row] = affine[4 * row] * i + affine[4 * row + 1] * j + affine[4 * row + 2] * k + affine[4 * row + 3];
  return out;
}

Volume block_mean(const Volume& volume, const Triple& factor) {
  const Triple extent = detail::extent_of("block_mean", volume.data);
  const Triple count = blocks("block_mean", extent, factor);
  const std::int64_t channels = detail::channels_of(volume.data);
  Shape shape{count[0], count[1], count[2]};
  if (volume.data.rank() == 4) shape.push_back(channels);
  Tensor out(shape, is_float(volume.data.dtype()) ? volume.data.dtype() : f32);
  dispatch(volume.data.dtype(), [&](auto zero) {
    using T = decltype(zero);
    using Out = std::conditional_t<std::is_same_v<T, double>, double, float>;
    const Triple strides = detail::strides_of(volume.data);
    const T* source = volume.data.data<T>();
    Out* target = out.data<Out>();
    const std::int64_t plane = count[1] * count[2] * channels;
    parallel_for(count[0], [&](std::int64_t i) {
      mean_plane(source + i * factor[0] * strides[0], strides, count, factor, channels, target + i * plane);
    });
  });
  return {out, block_affine(volume.affine, factor)};
}

Volume block_center(const Volume& volume, const Triple& factor) {
  const Triple count = blocks("block_center", detail::extent_of("block_center", volume.data), factor);
  std::array<detail::OffsetTable, 3> tables;
  for (std::size_t a = 0; a < 3; ++a)
    tables[a] = detail::offsets_along(volume.data, static_cast<int>(a), factor[a] / 2, factor[a], count[a]);
  return {detail::gather(volume.data, tables), block_affine(volume.affine, factor)};
}

Volume crop(const Volume& volume, const Triple& begin, const Triple& extent) {
  const Triple have = detail::extent_of("crop", volume.data);
  std::array<detail::OffsetTable, 3> tables;
  for (std::size_t a = 0; a < 3; ++a) {
    // Not begin + extent > have, because that sum may overflow.
    if (begin[a] < 0 || extent[a] < 1 || begin[a] > have[a] || extent[a] > have[a] - begin[a])
      throw ValueError(fmt::format("[crop] axis {}: got begin {} and extent {}; they must lie within the extent, {}",
                                   axis_name[a], begin[a], extent[a], have[a]));
    tables[a] = detail::offsets_along(volume.data, static_cast<int>(a), begin[a], 1, extent[a]);
  }
  return {detail::gather(volume.data, tables), moved(volume.affine, as_double(begin), {1, 1, 1})};
}

Volume pad(const Volume& volume, const Triple& before, const Triple& after, double value) {
  constexpr std::int64_t limit = std::int64_t{1} << 40;
  const Triple have = detail::extent_of("pad", volume.data);
  std::array<detail::OffsetTable, 3> tables;
  for (std::size_t a = 0; a < 3; ++a) {
    if (before[a] < 0 || after[a] < 0 || before[a] > limit || after[a] > limit)
      throw ValueError(fmt::format("[pad] axis {}: got {} before and {} after; neither may be negative or over 2^40",
                                   axis_name[a], before[a], after[a]));
    tables[a] = detail::offsets_along(volume.data, static_cast<int>(a), -before[a], 1, before[a] + have[a] + after[a]);
  }
  const std::array<double, 3> first = as_double(before);
  return {detail::gather(volume.data, tables, value),
          moved(volume.affine, {-first[0], -first[1], -first[2]}, {1, 1, 1})};
}

Volume pad_to_multiple(const Volume& volume, const Triple& multiple, double value) {
  const Triple have = detail::extent_of("pad_to_multiple", volume.data);
  Triple after{};
  for (std::size_t a = 0; a < 3; ++a) {
    if (multiple[a] < 1)
      throw ValueError(fmt::format("[pad_to_multiple] multiple: got {} for axis {}; it must be at least 1", multiple[a],
                                   axis_name[a]));
    after[a] = (multiple[a] - have[a] % multiple[a]) % multiple[a];
  }
  return pad(volume, {0, 0, 0}, after, value);
}

Volume flip(const Volume& volume, int axis) {
  const Triple extent = detail::extent_of("flip", volume.data);
  const auto reversed = static_cast<std::size_t>(normalize_axis("flip", axis, 3));
  std::array<detail::OffsetTable, 3> tables;
  std::array<double, 3> origin{};
  std::array<double, 3> step = {1, 1, 1};
  for (std::size_t a = 0; a < 3; ++a) {
    const bool back = a == reversed;
    tables[a] =
        detail::offsets_along(volume.data, static_cast<int>(a), back ? extent[a] - 1 : 0, back ? -1 : 1, extent[a]);
  }
  origin[reversed] = static_cast<double>(extent[reversed] - 1);
  step[reversed] = -1;
  return {detail::gather(volume.data, tables), moved(volume.affine, origin, step)};
}

}  // namespace vg
