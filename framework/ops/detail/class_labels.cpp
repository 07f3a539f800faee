#include "voxgrad/framework/ops/detail/class_labels.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/base/threads.hpp"
#include "voxgrad/framework/ops/elementwise.hpp"

namespace vg::detail {

namespace {

std::string position_of(const Shape& shape, std::int64_t at) {
  Shape index = shape;
  for (std::size_t i = shape.size(); i-- > 0; at /= shape[i]) index[i] = at % shape[i];
  return index.str();
}

}  // namespace

void check_labels(std::string_view op, std::string_view argument, const Tensor& labels, std::int64_t classes,
                  const std::optional<std::int32_t>& ignored) {
  if (labels.dtype() != i32)
    throw TypeError(fmt::format("[{}] {}: got {}; must be i32", op, argument, name_of(labels.dtype())));
  const std::int32_t* at = labels.data<std::int32_t>();
  const auto bad = [&](std::int32_t v) {
    return static_cast<std::uint32_t>(v) >= static_cast<std::uint64_t>(classes) && !(ignored && v == *ignored);
  };
  const std::int64_t n = labels.numel(), grain = 32768, tasks = (n + grain - 1) / grain;
  std::vector<std::int64_t> first(static_cast<std::size_t>(tasks), n);
  parallel_for(tasks, [&](std::int64_t t) {
    const std::int32_t *begin = at + t * grain, *end = at + std::min(n, (t + 1) * grain);
    bool any = false;
    for (const std::int32_t* v = begin; v < end; ++v) any |= bad(*v);
    if (any) first[static_cast<std::size_t>(t)] = std::find_if(begin, end, bad) - at;
  });
  for (std::int64_t p : first)
    if (p < n)
      throw ValueError(fmt::format("[{}] {}: got {} at {}; must be in [0, {}){}", op, argument, at[p],
                                   position_of(labels.shape(), p), classes,
                                   ignored ? fmt::format(" or ignore_index, {}", *ignored) : ""));
}

void check_class_shapes(std::string_view op, const Variable& logits, const Tensor& labels) {
  const Shape& shape = logits.shape();
  if (!is_float(logits.dtype())) throw_not_float(op, logits.dtype());
  if (shape.rank() < 2 || shape.back() < 1)
    throw ValueError(fmt::format(
        "[{}] logits: got shape {}; must be of rank 2 or more, (batch, ..., classes), with at least 1 class", op,
        shape.str()));
  const Shape wanted(std::span<const std::int64_t>(shape.begin(), shape.end() - 1));
  if (labels.shape() != wanted)
    throw ValueError(fmt::format("[{}] labels: got shape {}; must be {}, the logits' without classes", op,
                                 labels.shape().str(), wanted.str()));
}

void check_class_weights(std::string_view op, std::string_view argument, const std::vector<double>& weights,
                         std::int64_t classes) {
  if (!weights.empty() && static_cast<std::int64_t>(weights.size()) != classes)
    throw ValueError(fmt::format("[{}] {}: got {} entries; must be one for each of the {} classes", op, argument,
                                 weights.size(), classes));
  for (double w : weights)
    if (!(w >= 0) || std::isinf(w))
      throw ValueError(fmt::format("[{}] {}: got {}; every entry must be finite and at least 0", op, argument, w));
}

void check_loss_pair(std::string_view op, const Variable& x, const Variable& target) {
  if (!is_float(x.dtype())) throw_not_float(op, x.dtype());
  if (target.dtype() != x.dtype())
    throw TypeError(
        fmt::format("[{}] target: got {}; must be {} as x", op, name_of(target.dtype()), name_of(x.dtype())));
  if (target.shape() != x.shape())
    throw ValueError(
        fmt::format("[{}] target: got shape {}; must be {} as x", op, target.shape().str(), x.shape().str()));
  if (x.numel() == 0)
    throw ValueError(fmt::format("[{}] x: got shape {}; must have at least one element", op, x.shape().str()));
}

ClassVolume class_volume(const Tensor& labels, std::int64_t classes, const std::optional<std::int32_t>& ignored) {
  return {labels.numel(), classes, labels.data<std::int32_t>(), ignored.has_value(), ignored.value_or(0)};
}

ClassTargets class_targets(const ClassVolume& v, DType dtype) {
  Tensor counts(Shape{v.positions, 1}, f64), target = Tensor::zeros(Shape{v.positions, v.classes}, f64);
  for (std::int64_t p = 0; p < v.positions; ++p) {
    counts.data<double>()[p] = v.counts(p);
    if (v.counts(p)) target.data<double>()[p * v.classes + v.labels[p]] = 1;
  }
  return {counts.to(dtype), target.to(dtype)};
}

Variable counted_logits(const ClassVolume& v, const Variable& logits) {
  if (!v.has_ignored) return logits;
  Tensor counts(Shape{v.positions, 1}, i32);
  for (std::int64_t p = 0; p < v.positions; ++p) counts.data<std::int32_t>()[p] = v.counts(p);
  return where(counts, logits, Tensor::scalar(0, logits.dtype()));
}

}  // namespace vg::detail
