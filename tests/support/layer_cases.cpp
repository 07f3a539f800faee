#include "support/layer_cases.hpp"

#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "support/conv_config.hpp"
#include "support/golden.hpp"
#include "voxgrad/layers/layers.hpp"

namespace vg::test::golden {

using namespace vg;
using nlohmann::json;

namespace {

using Made = std::shared_ptr<Module>;

template <class M, class... Args>
Made make(Args&&... args) {
  return std::make_shared<M>(std::forward<Args>(args)...);
}

Initializer bias(bool wanted) { return wanted ? init::ZeroInit() : Initializer(); }

Made linear(const json& c, const json& states) {
  return make<Linear>(LinearOptions{.in_size = ints(c.at("in_size")),
                                    .out_features = ints(c.at("out_size")).back(),
                                    .b_init = bias(states.contains("bias"))});
}

Made batch_norm(const json& c, const json&) {
  return make<BatchNorm3d>(BatchNorm3dOptions{.in_size = ints(c.at("in_size")),
                                              .epsilon = c.value("epsilon", 1e-5),
                                              .momentum = c.value("momentum", 0.99),
                                              .affine = c.value("affine", true)});
}

Made group_norm(const json& c, const json&) {
  GroupNormOptions o{.in_size = ints(c.at("in_size")), .epsilon = c.value("epsilon", 1e-6)};
  if (c.contains("group_size")) {
    o.num_groups.reset();
    o.group_size = c.at("group_size").get<std::int64_t>();
  } else {
    o.num_groups = c.at("num_groups").get<std::int64_t>();
  }
  o.use_scale = c.value("use_scale", true);
  o.use_bias = c.value("use_bias", true);
  return make<GroupNorm>(o);
}

Made layer_norm(const json& c, const json&) {
  LayerNormOptions o{
      .in_size = ints(c.at("in_size")), .epsilon = c.value("epsilon", 1e-6), .use_bias = c.value("use_bias", true)};
  const auto axes = [&](const char* name) {
    const auto list = ints(c.at(name));
    return std::vector<int>(list.begin(), list.end());
  };
  if (c.contains("reduction_axes")) o.reduction_axes = axes("reduction_axes");
  if (c.contains("feature_axes")) o.feature_axes = axes("feature_axes");
  return make<LayerNorm>(o);
}

Made instance_norm(const json& c, const json&) {
  return make<InstanceNorm3d>(InstanceNorm3dOptions{
      .in_size = {c.at("channels").get<std::int64_t>()}, .epsilon = c.at("eps"), .affine = c.at("affine")});
}

Made scaled_ws(const json& c, const json& states) {
  ScaledWSConv3dOptions o = scaled_ws_options(c);
  o.b_init = bias(states.contains("bias"));
  if (states.contains("w_mask")) o.w_mask = tensor(states.at("w_mask"), f64);
  return make<ScaledWSConv3d>(o);
}

Made separable(const json& c, const json&) {
  return make<DepthwiseSeparableConv3d>(DepthwiseSeparableConv3dOptions{.in_size = ints(c.at("in_size")),
                                                                        .out_channels = c.at("out_channels"),
                                                                        .kernel_size = extent(c.at("kernel_size")),
                                                                        .stride = extent(c.at("stride")),
                                                                        .padding = padding(c.at("padding")),
                                                                        .multiplier = c.at("multiplier"),
                                                                        .b_init = bias(c.at("bias"))});
}

template <class Pool, class Options>
Made pool(const json& c, const json&) {
  Options o;
  o.kernel_size = extent(c.at("kernel_size"));
  if (c.contains("stride")) o.stride = extent(c.at("stride"));
  if (c.contains("padding")) o.padding = padding(c.at("padding"));
  return make<Pool>(o);
}

template <class Pool>
Made adaptive_pool(const json& c, const json&) {
  return make<Pool>(AdaptivePool3dOptions{.output_size = extent(c.at("target_size"))});
}

Made upsample(const json& c, const json&) {
  UpsampleOptions o{.mode = c.at("mode"), .align_corners = c.value("align_corners", false)};
  if (c.contains("scale")) o.scale = extent(c.at("scale"));
  if (c.contains("scale_factor")) o.scale_factor = c.at("scale_factor").get<std::vector<double>>();
  if (c.contains("size")) o.size = extent(c.at("size"));
  return make<Upsample>(o);
}

Made weight_norm(const json& c, const json& states) {
  WeightNormConv3dOptions o = conv3d_options(c);
  o.b_init = bias(states.contains("bias"));
  return make<WeightNormConv3d>(o);
}

Made prelu_of(const json& c, const json&) {
  PReLUOptions o{.per_channel = c.at("per_channel")};
  if (c.contains("in_size")) o.in_size = ints(c.at("in_size"));
  return make<PReLU>(o);
}

Made squeeze_excite(const json& c, const json&) {
  return make<SqueezeExcite3d>(
      SqueezeExcite3dOptions{.in_size = ints(c.at("in_size")), .reduction = c.at("reduction")});
}

// The options that both residual blocks have.
template <class O>
O residual_options(const json& c) {
  O o;
  o.in_size = ints(c.at("in_size"));
  o.stride = extent(c.at("stride"));
  o.norm = c.at("norm");
  o.num_groups = c.value("num_groups", std::int64_t{8});
  o.activation = c.at("activation");
  return o;
}

Made residual_block(const json& c, const json&) {
  auto o = residual_options<ResidualBlock3dOptions>(c);
  o.out_channels = c.at("out_channels");
  return make<ResidualBlock3d>(o);
}

Made bottleneck_block(const json& c, const json&) {
  auto o = residual_options<BottleneckBlock3dOptions>(c);
  o.channels = c.at("channels");
  o.expansion = c.value("expansion", std::int64_t{4});
  return make<BottleneckBlock3d>(o);
}

template <class D>
Made dropout(const json& c, const json&) {
  return make<D>(DropoutOptions{.keep_prob = c.at("prob"), .seed = c.at("seed").get<std::uint64_t>()});
}

template <class M>
Made plain(const json&, const json&) {
  return make<M>();
}

// brainstate's functions; the default of its gelu is by tanh, unlike its layer's and ours.
Made leaky(const json& c, const json&) { return make<LeakyReLU>(LeakyReLUOptions{c.value("negative_slope", 0.01)}); }
Made gelu_of(const json& c, const json&) { return make<GELU>(GELUOptions{c.value("approximate", true)}); }
Made elu_of(const json& c, const json&) { return make<ELU>(ELUOptions{c.at("alpha")}); }
Made softplus_of(const json& c, const json&) {
  return make<Softplus>(SoftplusOptions{c.at("beta"), c.at("threshold")});
}
Made softmax_of(const json& c, const json&) { return make<Softmax>(SoftmaxOptions{c.value("axis", -1)}); }

}  // namespace

Made layer_of(const json& record) {
  static const std::map<std::string, std::function<Made(const json&, const json&)>> makers{
      {"Linear", linear},
      {"BatchNorm3d", batch_norm},
      {"GroupNorm", group_norm},
      {"LayerNorm", layer_norm},
      {"InstanceNorm3d", instance_norm},
      {"ScaledWSConv3d", scaled_ws},
      {"DepthwiseSeparableConv3d", separable},
      {"MaxPool3d", pool<MaxPool3d, MaxPool3dOptions>},
      {"AvgPool3d", pool<AvgPool3d, AvgPool3dOptions>},
      {"GlobalAvgPool3d", plain<GlobalAvgPool3d>},
      {"Upsample", upsample},
      {"AdaptiveAvgPool3d", adaptive_pool<AdaptiveAvgPool3d>},
      {"AdaptiveMaxPool3d", adaptive_pool<AdaptiveMaxPool3d>},
      {"BottleneckBlock3d", bottleneck_block},
      {"ResidualBlock3d", residual_block},
      {"SqueezeExcite3d", squeeze_excite},
      {"WeightNormConv3d", weight_norm},
      {"Dropout", dropout<Dropout>},
      {"Dropout3d", dropout<SpatialDropout3d>},
      {"PReLU", prelu_of},
      {"ELU", elu_of},
      {"Softplus", softplus_of},
      {"relu", plain<ReLU>},
      {"silu", plain<SiLU>},
      {"sigmoid", plain<Sigmoid>},
      {"tanh", plain<Tanh>},
      {"leaky_relu", leaky},
      {"gelu", gelu_of},
      {"softmax", softmax_of},
  };
  const auto maker = makers.find(record.at("layer").get<std::string>());
  return maker == makers.end() ? nullptr : maker->second(record.at("config"), record.at("states"));
}

std::pair<std::string, std::string> leaf_of(const std::string& name) {
  if (name.starts_with("running_")) return {name, "value"};
  const std::size_t dot = name.rfind('.');
  if (dot == std::string::npos) return {"weight", name};
  return {name.substr(0, dot) + ".weight", name.substr(dot + 1)};
}

}  // namespace vg::test::golden
