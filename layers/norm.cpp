#include "voxgrad/layers/norm.hpp"

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/framework/ops/norm.hpp"
#include "voxgrad/framework/ops/reduce.hpp"
#include "voxgrad/framework/ops/shape_ops.hpp"
#include "voxgrad/layers/init/parameter_limit.hpp"
#include "voxgrad/layers/input_check.hpp"

namespace vg {

void NormLayer::make_weight(const Shape& shape, Initializer& scale_init, Initializer& bias_init) {
  Tensor scale, bias;
  if (scale_init) scale = make_parameter(where(), "scale_init", scale_init, shape);
  if (bias_init) bias = make_parameter(where(), "bias_init", bias_init, shape);
  if (scale.defined() && bias.defined()) bias = bias.to(scale.dtype());
  if (scale.defined()) weight.add("scale", scale);
  if (bias.defined()) weight.add("bias", bias);
  scale_init = scale_init.used();
  bias_init = bias_init.used();
}

Variable NormLayer::flat(std::string_view leaf) const {
  if (!weight.has(leaf)) return {};
  const Variable& v = weight[leaf];
  return v.rank() == 1 ? v : reshape(v, {-1});
}

void NormLayer::require_dtype(const Variable& x) const {
  for (const char* leaf : {"scale", "bias"})
    if (weight.has(leaf) && weight[leaf].dtype() != x.dtype())
      detail::refuse_dtype(where(), x.dtype(), weight[leaf].dtype());
}

Variable NormLayer::in_groups(const Variable& x, std::int64_t groups, double epsilon) const {
  const bool batch = in_size().size() == 1 || has_batch(x);
  require_dtype(x);
  const Variable y = group_norm(batch ? x : detail::with_batch(x), groups, flat("scale"), flat("bias"), epsilon);
  return batch ? y : detail::without_batch(y);
}

void BatchNorm3dOptions::fields(Fields& f) {
  f("in_size", in_size);
  f("epsilon", epsilon, at_least(0));
  f("momentum", momentum, within(0, 1));
  f("affine", affine);
  f("bias_init", bias_init);
  f("scale_init", scale_init);
  f("name", name);
}

BatchNorm3d::BatchNorm3d(BatchNorm3dOptions options) : LayerWith(std::move(options)) {
  if (!options_.affine) options_.scale_init = options_.bias_init = std::nullopt;
  start();
}

void BatchNorm3d::build(const Size& in_size) {
  if (built()) return require_same(in_size);
  check_size(where(), in_size, 4);
  const Shape shape{1, 1, 1, in_size.back()};
  detail::take_from_limit(where(), 2 * in_size.back());
  make_weight(shape, options_.scale_init, options_.bias_init);
  const DType dtype = weight.has("scale") ? weight["scale"].dtype() : f32;
  running_mean.add("value", Tensor::zeros(shape, dtype));
  running_var.add("value", Tensor::ones(shape, dtype));
  set_sizes(in_size, in_size);
}

void BatchNorm3d::visit(Visitor& v) {
  NormLayer::visit(v);
  v("running_mean", running_mean);
  v("running_var", running_var);
}

Variable BatchNorm3d::update(Variable x) {
  const bool batch = has_batch(x);
  require_dtype(x);
  const Variable v = batch ? x : detail::with_batch(x);
  const std::int64_t channels = x.dim(-1);
  const auto finish = [&](const Variable& y) { return batch ? y : detail::without_batch(y); };
  if (!training() || !has_training_mode()) {
    const Tensor mean = running_mean["value"].value().reshape({channels}),
                 variance = running_var["value"].value().reshape({channels});
    return finish(normalize(v, mean, variance, flat("scale"), flat("bias"), options_.epsilon));
  }
  if (x.numel() == channels)
    throw ValueError(
        fmt::format("[{}] input: got {}, one value for each channel; training mode needs more than one, for the "
                    "variance of one is 0: use more samples or larger volumes, or model.eval()",
                    where(), x.shape().str()));
  const BatchNormResult result = batch_norm(v, flat("scale"), flat("bias"), options_.epsilon);
  const auto moved = [&](const BatchState& state, const Tensor& now) {
    const NoGradGuard statistics_are_constants;
    const Variable& before = state["value"];
    return (before * options_.momentum + reshape(now.to(before.dtype()), before.shape()) * (1 - options_.momentum))
        .value();
  };
  const Tensor mean = moved(running_mean, result.mean), variance = moved(running_var, result.var);
  running_mean.set("value", mean);
  running_var.set("value", variance);
  return finish(result.output);
}

namespace {

// The members from epsilon on that GroupNorm and LayerNorm have.
template <class O>
void scale_and_bias_fields(Fields& f, O& o) {
  f("epsilon", o.epsilon, at_least(0));
  f("use_bias", o.use_bias);
  f("use_scale", o.use_scale);
  f("bias_init", o.bias_init);
  f("scale_init", o.scale_init);
  f("name", o.name);
}

template <class O>
O without_unused(O o) {
  if (!o.use_scale) o.scale_init = std::nullopt;
  if (!o.use_bias) o.bias_init = std::nullopt;
  return o;
}

}  // namespace

void GroupNormOptions::fields(Fields& f) {
  f("in_size", in_size);
  f("num_groups", num_groups, at_least(1));
  f("group_size", group_size, at_least(1));
  scale_and_bias_fields(f, *this);
  if (f.checking() && num_groups.has_value() == group_size.has_value())
    f.refuse("num_groups, group_size",
             fmt::format("got {}; exactly one must be given (num_groups is 32 unless it is std::nullopt)",
                         num_groups ? "both" : "neither"));
}

GroupNorm::GroupNorm(GroupNormOptions options) : LayerWith(without_unused(std::move(options))) { start(); }

void GroupNorm::build(const Size& in_size) {
  if (built()) return require_same(in_size);
  check_size(where(), in_size, in_size.size());
  const auto& [num_groups, group_size] = std::tie(options_.num_groups, options_.group_size);
  const std::int64_t channels = in_size.back(), divisor = num_groups ? *num_groups : *group_size;
  if (channels % divisor != 0)
    throw ValueError(fmt::format("[{}] {}: got {}; must divide the channels, {}", where(),
                                 num_groups ? "num_groups" : "group_size", divisor, channels));
  make_weight({channels}, options_.scale_init, options_.bias_init);
  set_sizes(in_size, in_size);
}

Variable GroupNorm::update(Variable x) {
  require_trailing(x);
  return in_groups(x, options_.num_groups ? *options_.num_groups : x.dim(-1) / *options_.group_size, options_.epsilon);
}

void InstanceNorm3dOptions::fields(Fields& f) {
  f("in_size", in_size);
  f("epsilon", epsilon, at_least(0));
  f("affine", affine);
  f("name", name);
}

InstanceNorm3d::InstanceNorm3d(InstanceNorm3dOptions options) : LayerWith(std::move(options)) { start(); }

void InstanceNorm3d::build(const Size& in_size) {
  if (built()) return require_same(in_size);
  check_size(where(), in_size, in_size.size() == 1 ? 1 : 4);
  Initializer scale_init, bias_init;
  if (options_.affine) {
    scale_init = init::Constant(1);
    bias_init = init::ZeroInit();
  }
  make_weight({in_size.back()}, scale_init, bias_init);
  set_sizes(in_size, in_size);
}

Variable InstanceNorm3d::update(Variable x) {
  require_trailing(x);
  if (in_size().size() == 1 && x.rank() != 5)
    throw ValueError(
        fmt::format("[{}] input: got {}; must be (B, H, W, D, {})", where(), x.shape().str(), in_size()[0]));
  return in_groups(x, x.dim(-1), options_.epsilon);
}

void LayerNormOptions::fields(Fields& f) {
  f("in_size", in_size);
  f("reduction_axes", reduction_axes);
  f("feature_axes", feature_axes);
  scale_and_bias_fields(f, *this);
  if (f.checking() && reduction_axes.empty()) f.refuse("reduction_axes", "got none; at least one is needed");
}

LayerNorm::LayerNorm(LayerNormOptions options) : LayerWith(without_unused(std::move(options))) { start(); }

void LayerNorm::build(const Size& in_size) {
  if (built()) return require_same(in_size);
  check_extents(where(), in_size);
  const int rank = static_cast<int>(in_size.size());
  // Axes are counted from the end of in_size, so that any number of axes may precede it.
  const auto from_end = [&](const char* name, const std::vector<int>& axes) {
    std::set<int> found;
    for (int axis : axes)
      if (!found.insert(normalize_axis(where() + "] [" + name, axis, rank) - rank).second)
        throw ValueError(fmt::format("[{}] {}: axis {} is repeated", where(), name, axis));
    return std::vector<int>(found.begin(), found.end());
  };
  const std::vector<int> reduction = from_end("reduction_axes", options_.reduction_axes),
                         features = from_end("feature_axes", options_.feature_axes);
  Size shape(in_size.size(), 1);
  for (int axis : features) {
    const auto i = static_cast<std::size_t>(rank + axis);
    shape[i] = in_size[i];
    if (in_size[i] == dynamic)
      throw ValueError(
          fmt::format("[{}] in_size: got {}; the feature axes must be fixed", where(), size_text(in_size)));
  }
  make_weight(Shape(shape), options_.scale_init, options_.bias_init);
  options_.reduction_axes = reduction;
  options_.feature_axes = features;
  set_sizes(in_size, in_size);
}

Variable LayerNorm::update(Variable x) {
  require_trailing(x);
  require_dtype(x);
  const std::vector<int>& reduction = options_.reduction_axes;
  const auto count = static_cast<int>(reduction.size());
  const bool trailing = reduction.front() == -count;  // they are sorted and distinct
  if (trailing && count == 1 && options_.feature_axes == reduction)
    return layer_norm(x, 1, flat("scale"), flat("bias"), options_.epsilon);
  Variable y;
  if (trailing) {
    y = layer_norm(x, count, {}, {}, options_.epsilon);
  } else {
    const Variable average = mean(x, reduction, true);
    y = (x - average) * rsqrt(var(x, reduction, true) + options_.epsilon);
  }
  if (weight.has("scale")) y = y * weight["scale"];
  if (weight.has("bias")) y = y + weight["bias"];
  return y;
}

}  // namespace vg
