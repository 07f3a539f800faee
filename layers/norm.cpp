#include "voxgrad/layers/norm.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/framework/ops/elementwise.hpp"
#include "voxgrad/framework/ops/norm.hpp"
#include "voxgrad/framework/ops/reduce.hpp"
#include "voxgrad/framework/ops/shape_ops.hpp"
#include "voxgrad/layers/input_check.hpp"

namespace vg {

using detail::with;

NormLayer::NormLayer(std::string name, double epsilon, Initializer scale_init, Initializer bias_init)
    : Layer(std::move(name)),
      epsilon_(epsilon),
      scale_init_(std::move(scale_init)),
      bias_init_(std::move(bias_init)),
      scale_text_(scale_init_.str()),
      bias_text_(bias_init_.str()) {}

void NormLayer::make_weight(const Shape& shape) {
  Tensor scale, bias;
  if (scale_init_) scale = make_parameter(where(), "scale_init", scale_init_, shape);
  if (bias_init_) bias = make_parameter(where(), "bias_init", bias_init_, shape);
  if (scale.defined() && bias.defined()) bias = bias.to(scale.dtype());
  if (scale.defined()) weight.add("scale", scale);
  if (bias.defined()) weight.add("bias", bias);
  scale_init_ = bias_init_ = std::nullopt;
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

Variable NormLayer::in_groups(const Variable& x, std::int64_t groups) const {
  const bool batch = in_size().size() == 1 || has_batch(x);
  require_dtype(x);
  const Variable y = group_norm(batch ? x : detail::with_batch(x), groups, flat("scale"), flat("bias"), epsilon());
  return batch ? y : detail::without_batch(y);
}

Attributes NormLayer::norm_options() const {
  return {{"epsilon", epsilon_}, {"bias_init", bias_text_}, {"scale_init", scale_text_}, {"name", name()}};
}

namespace {

void require_epsilon(const std::string& where, double epsilon) {
  if (!(epsilon >= 0)) throw ValueError(fmt::format("[{}] epsilon: got {}; must be at least 0", where, epsilon));
}

Initializer when(bool wanted, Initializer from) { return wanted ? std::move(from) : Initializer(); }

}  // namespace

BatchNorm3d::BatchNorm3d(BatchNorm3dOptions o)
    : NormLayer(o.name, o.epsilon, when(o.affine, std::move(o.scale_initializer)),
                when(o.affine, std::move(o.bias_initializer))),
      momentum_(o.momentum),
      affine_(o.affine) {
  require_epsilon(where(), o.epsilon);
  if (!(momentum_ >= 0 && momentum_ <= 1))
    throw ValueError(fmt::format("[{}] momentum: got {}; must be in [0, 1]", where(), momentum_));
  if (!o.in_size.empty()) build(o.in_size);
}

void BatchNorm3d::build(const Size& in_size) {
  if (built()) return require_same(in_size);
  check_size(where(), in_size, 4);
  const Shape shape{1, 1, 1, in_size.back()};
  make_weight(shape);
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
    return finish(normalize(v, mean, variance, flat("scale"), flat("bias"), epsilon()));
  }
  if (x.numel() == channels)
    throw ValueError(
        fmt::format("[{}] input: got {}, one value for each channel; training mode needs more than one, for the "
                    "variance of one is 0: use more samples or larger volumes, or model.eval()",
                    where(), x.shape().str()));
  const BatchNormResult result = batch_norm(v, flat("scale"), flat("bias"), epsilon());
  const auto moved = [&](const BatchState& state, const Tensor& now) {
    const NoGradGuard statistics_are_constants;
    const Variable& before = state["value"];
    return (before * momentum_ + reshape(now.to(before.dtype()), before.shape()) * (1 - momentum_)).value();
  };
  const Tensor mean = moved(running_mean, result.mean), variance = moved(running_var, result.var);
  running_mean.set("value", mean);
  running_var.set("value", variance);
  return finish(result.output);
}

Attributes BatchNorm3d::options() const {
  return with({{"in_size", in_size()}, {"momentum", momentum_}, {"affine", affine_}}, norm_options());
}

GroupNorm::GroupNorm(GroupNormOptions o)
    : NormLayer(o.name, o.epsilon, when(o.use_scale, std::move(o.scale_init)),
                when(o.use_bias, std::move(o.bias_init))),
      num_groups_(o.num_groups),
      group_size_(o.group_size),
      use_bias_(o.use_bias),
      use_scale_(o.use_scale) {
  require_epsilon(where(), o.epsilon);
  if (num_groups_.has_value() == group_size_.has_value())
    throw ValueError(fmt::format(
        "[{}] num_groups, group_size: got {}; exactly one must be given (num_groups is 32 unless it is std::nullopt)",
        where(), num_groups_ ? "both" : "neither"));
  const auto& [name, value] =
      num_groups_ ? std::pair("num_groups", *num_groups_) : std::pair("group_size", *group_size_);
  if (value < 1) throw ValueError(fmt::format("[{}] {}: got {}; must be at least 1", where(), name, value));
  if (!o.in_size.empty()) build(o.in_size);
}

void GroupNorm::build(const Size& in_size) {
  if (built()) return require_same(in_size);
  check_size(where(), in_size, in_size.size());
  const std::int64_t channels = in_size.back(), divisor = num_groups_ ? *num_groups_ : *group_size_;
  if (channels % divisor != 0)
    throw ValueError(fmt::format("[{}] {}: got {}; must divide the channels, {}", where(),
                                 num_groups_ ? "num_groups" : "group_size", divisor, channels));
  make_weight({channels});
  set_sizes(in_size, in_size);
}

Variable GroupNorm::update(Variable x) {
  require_trailing(x);
  return in_groups(x, num_groups_ ? *num_groups_ : x.dim(-1) / *group_size_);
}

Attributes GroupNorm::options() const {
  Attributes values{{"in_size", in_size()}};
  if (num_groups_) values.emplace_back("num_groups", *num_groups_);
  if (group_size_) values.emplace_back("group_size", *group_size_);
  return with(with(std::move(values), {{"use_bias", use_bias_}, {"use_scale", use_scale_}}), norm_options());
}

InstanceNorm3d::InstanceNorm3d(InstanceNorm3dOptions o)
    : NormLayer(o.name, o.epsilon, when(o.affine, init::Constant(1)), when(o.affine, init::ZeroInit())),
      affine_(o.affine) {
  require_epsilon(where(), o.epsilon);
  if (!o.in_size.empty()) build(o.in_size);
}

void InstanceNorm3d::build(const Size& in_size) {
  if (built()) return require_same(in_size);
  check_size(where(), in_size, in_size.size() == 1 ? 1 : 4);
  make_weight({in_size.back()});
  set_sizes(in_size, in_size);
}

Variable InstanceNorm3d::update(Variable x) {
  require_trailing(x);
  if (in_size().size() == 1 && x.rank() != 5)
    throw ValueError(
        fmt::format("[{}] input: got {}; must be (B, H, W, D, {})", where(), x.shape().str(), in_size()[0]));
  return in_groups(x, x.dim(-1));
}

Attributes InstanceNorm3d::options() const {
  return {{"in_size", in_size()}, {"epsilon", epsilon()}, {"affine", affine_}, {"name", name()}};
}

LayerNorm::LayerNorm(LayerNormOptions o)
    : NormLayer(o.name, o.epsilon, when(o.use_scale, std::move(o.scale_init)),
                when(o.use_bias, std::move(o.bias_init))),
      reduction_axes_(std::move(o.reduction_axes)),
      feature_axes_(std::move(o.feature_axes)),
      use_bias_(o.use_bias),
      use_scale_(o.use_scale) {
  require_epsilon(where(), o.epsilon);
  if (reduction_axes_.empty())
    throw ValueError(fmt::format("[{}] reduction_axes: got none; at least one is needed", where()));
  if (!o.in_size.empty()) build(o.in_size);
}

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
  const std::vector<int> reduction = from_end("reduction_axes", reduction_axes_),
                         features = from_end("feature_axes", feature_axes_);
  Size shape(in_size.size(), 1);
  for (int axis : features) {
    const auto i = static_cast<std::size_t>(rank + axis);
    shape[i] = in_size[i];
    if (in_size[i] == dynamic)
      throw ValueError(
          fmt::format("[{}] in_size: got {}; the feature axes must be fixed", where(), size_text(in_size)));
  }
  make_weight(Shape(shape));
  reduction_axes_ = reduction;
  feature_axes_ = features;
  set_sizes(in_size, in_size);
}

Variable LayerNorm::update(Variable x) {
  require_trailing(x);
  require_dtype(x);
  const auto count = static_cast<int>(reduction_axes_.size());
  const bool trailing = reduction_axes_.front() == -count;  // they are sorted and distinct
  if (trailing && count == 1 && feature_axes_ == reduction_axes_)
    return layer_norm(x, 1, flat("scale"), flat("bias"), epsilon());
  Variable y;
  if (trailing) {
    y = layer_norm(x, count, {}, {}, epsilon());
  } else {
    const Variable average = mean(x, reduction_axes_, true);
    y = (x - average) * rsqrt(var(x, reduction_axes_, true) + epsilon());
  }
  if (weight.has("scale")) y = y * weight["scale"];
  if (weight.has("bias")) y = y + weight["bias"];
  return y;
}

Attributes LayerNorm::options() const {
  const auto list = [](const std::vector<int>& axes) { return std::vector<std::int64_t>(axes.begin(), axes.end()); };
  return with({{"in_size", in_size()},
               {"reduction_axes", list(reduction_axes_)},
               {"feature_axes", list(feature_axes_)},
               {"use_bias", use_bias_},
               {"use_scale", use_scale_}},
              norm_options());
}

}  // namespace vg
