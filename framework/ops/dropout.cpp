#include "voxgrad/framework/ops/dropout.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/threads.hpp"
#include "voxgrad/framework/ops/detail/map.hpp"

namespace vg {

namespace {

constexpr std::int64_t draws_per_task = 1 << 14;
constexpr std::int64_t chunk = 1 << 10;

template <class T>
void mask_and_scale(const T* x, std::int64_t n, double keep, const random::Key& key, T* y) {
  // uniform(key)[i] < keep in integers: the uniform value is (bits >> 9) * 2^-23.
  const auto limit = static_cast<std::int32_t>(std::ceil(static_cast<double>(static_cast<float>(keep)) * 8388608.0));
  const T by = static_cast<T>(keep);
  parallel_ranges(n, draws_per_task, [&](std::int64_t begin, std::int64_t end) {
    std::uint32_t raw[chunk];
    for (std::int64_t i = begin; i < end; i += chunk) {
      const std::int64_t m = std::min(chunk, end - i);
      random::bits(key, i, m, raw);
      // Two loops without branches: a division inside the selection would prevent vectorisation.
      T* to = y + i;
      for (std::int64_t j = 0; j < m; ++j) to[j] = x[i + j] / by;
      for (std::int64_t j = 0; j < m; ++j) to[j] = static_cast<std::int32_t>(raw[j] >> 9) < limit ? to[j] : T{0};
    }
  });
}

// y = x / keep, or 0 where the mask of the sample and channel is 0; the mask is mask_and_scale() of ones.
template <class T>
void scale_channels(const T* x, const Shape& shape, const T* ones, double keep, T* y) {
  const std::int64_t c = shape[4], row = shape[2] * shape[3], planes = shape[0] * shape[1];
  const T by = static_cast<T>(keep);
  parallel_for(
      planes,
      [&](std::int64_t plane) {
        const T* kept = ones + plane / shape[1] * c;
        for (std::int64_t v = plane * row; v < (plane + 1) * row; ++v)
          for (std::int64_t i = 0; i < c; ++i) {
            const T scaled = x[v * c + i] / by;
            y[v * c + i] = kept[i] != 0 ? scaled : T{0};
          }
      },
      planes * row * c < draws_per_task);
}

void check(std::string_view op, const Variable& x, double keep) {
  if (!(keep > 0 && keep <= 1)) throw ValueError(fmt::format("[{}] keep: got {}; must be in (0, 1]", op, keep));
  if (!is_float(x.dtype())) throw_not_float(op, x.dtype());
}

}  // namespace

Variable dropout(const Variable& x, double keep, const random::Key& key) {
  check("dropout", x, keep);
  if (keep == 1) return x;
  Tensor y = detail::filled("dropout", x.shape(), x.dtype(),
                            [&]<class T>(T* to) { mask_and_scale(x.value().data<T>(), x.numel(), keep, key, to); });
  // Dropout is linear with a diagonal matrix, so it is its own transpose. The mask is drawn again, not stored.
  return record(
      "dropout", std::move(y), {x},
      [keep, key](const VjpContext& pull) -> Grads { return {dropout(pull.grad, keep, key)}; }, SaveOutput::no);
}

Variable spatial_dropout3d(const Variable& x, double keep, const random::Key& key) {
  if (x.rank() != 5)
    throw ValueError(fmt::format("[spatial_dropout3d] x: got shape {}; must be (B, H, W, D, C)", x.shape().str()));
  check("spatial_dropout3d", x, keep);
  if (keep == 1) return x;
  Tensor y = detail::filled("spatial_dropout3d", x.shape(), x.dtype(), [&]<class T>(T* to) {
    Tensor kept = Tensor::ones({x.dim(0), x.dim(4)}, x.dtype());
    mask_and_scale(kept.data<T>(), kept.numel(), keep, key, kept.data<T>());
    scale_channels(x.value().data<T>(), x.shape(), kept.data<T>(), keep, to);
  });
  return record(
      "spatial_dropout3d", std::move(y), {x},
      [keep, key](const VjpContext& pull) -> Grads { return {spatial_dropout3d(pull.grad, keep, key)}; },
      SaveOutput::no);
}

}  // namespace vg
