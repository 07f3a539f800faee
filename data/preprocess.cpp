#include "voxgrad/data/preprocess.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "voxgrad/data/gather.hpp"
#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/threads.hpp"

namespace vg {

namespace {

/// The mean and biased variance, in two passes with a fixed order of summation.
template <class T>
std::pair<double, double> moments(const T* x, std::int64_t n) {
  double sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += static_cast<double>(x[i]);
  const double mean = sum / static_cast<double>(n);
  double squares = 0;
  for (std::int64_t i = 0; i < n; ++i)
    squares += (static_cast<double>(x[i]) - mean) * (static_cast<double>(x[i]) - mean);
  return {mean, squares / static_cast<double>(n)};
}

}  // namespace

Tensor standardize(const Tensor& x) {
  if (!x.defined() || x.numel() == 0) throw ValueError("[standardize] the tensor is empty");
  Tensor out(x.shape(), x.dtype() == f64 ? f64 : f32);
  dispatch(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    using Out = std::conditional_t<std::is_same_v<T, double>, double, float>;
    const T* from = x.data<T>();
    const auto [mean, variance] = moments(from, x.numel());
    if (!std::isfinite(mean) || !std::isfinite(variance))
      throw ValueError("[standardize] the tensor has a value that is not finite (or its variance overflows)");
    if (variance <= 0)
      throw ValueError(fmt::format("[standardize] every value is {}, so the standard deviation is 0", mean));
    const double scale = 1 / std::sqrt(variance);
    Out* to = out.data<Out>();
    for (std::int64_t i = 0; i < x.numel(); ++i)
      to[i] = static_cast<Out>((static_cast<double>(from[i]) - mean) * scale);
  });
  return out;
}

Tensor map_labels(const Tensor& labels, const std::vector<std::int32_t>& table) {
  if (!labels.defined()) throw ValueError("[map_labels] the tensor is undefined");
  if (labels.dtype() != i32)
    throw TypeError(fmt::format("[map_labels] labels: got dtype {}; they must be i32", name_of(labels.dtype())));
  Tensor out(labels.shape(), i32);
  const std::int32_t* from = labels.data<std::int32_t>();
  std::int32_t* to = out.data<std::int32_t>();
  for (std::int64_t i = 0; i < labels.numel(); ++i) {
    if (from[i] < 0 || static_cast<std::size_t>(from[i]) >= table.size())
      throw ValueError(
          fmt::format("[map_labels] element {}: got label {}; the table has {} entries", i, from[i], table.size()));
    to[i] = table[static_cast<std::size_t>(from[i])];
  }
  return out;
}

Tensor add_coordinates(const Tensor& x) {
  const Triple extent = detail::extent_of("add_coordinates", x);
  const std::int64_t channels = detail::channels_of(x);
  Tensor out({extent[0], extent[1], extent[2], channels + 3}, x.dtype());
  dispatch_float("add_coordinates", x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    std::array<std::vector<T>, 3> position;
    for (std::size_t a = 0; a < 3; ++a) {
      const auto last = static_cast<double>(std::max<std::int64_t>(extent[a] - 1, 1));
      for (std::int64_t i = 0; i < extent[a]; ++i)
        position[a].push_back(static_cast<T>(-1 + 2 * static_cast<double>(i) / last));
    }
    const T* source = x.data<T>();
    T* target = out.data<T>();
    const std::int64_t plane = extent[1] * extent[2];
    parallel_for(extent[0], [&](std::int64_t i) {
      const T* from = source + i * plane * channels;
      T* to = target + i * plane * (channels + 3);
      for (std::int64_t v = 0; v < plane; ++v) {
        to = std::copy_n(from + v * channels, channels, to);
        *to++ = position[0][static_cast<std::size_t>(i)];
        *to++ = position[1][static_cast<std::size_t>(v / extent[2])];
        *to++ = position[2][static_cast<std::size_t>(v % extent[2])];
      }
    });
  });
  return out;
}

Tensor with_channel_axis(const Tensor& x) {
  const Triple extent = detail::extent_of("with_channel_axis", x);
  return x.rank() == 4 ? x : x.reshape(Shape{extent[0], extent[1], extent[2], 1});
}

}  // namespace vg
