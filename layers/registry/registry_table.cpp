// Makes each layer of this library from its options(). The table is explicit, because a linker drops objects that only
// register themselves. tests/unit/layers/test_registry.cpp checks that it is complete.
#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "voxgrad/framework/base/error.hpp"
#include "voxgrad/layers/layers.hpp"
#include "voxgrad/layers/registry/registry.hpp"
#include "voxgrad/layers/registry/registry_options.hpp"

namespace vg::registry {

namespace {

using Made = std::unique_ptr<Module>;

template <class M>
Made plain(const ModuleConfig&) {
  return std::make_unique<M>();
}

// The members that the options of all convolutions share.
template <class O>
O conv_options(const Options& o) {
  O made;
  made.in_size = o.integers("in_size");
  made.out_channels = o.integer("out_channels");
  made.kernel_size = o.extent("kernel_size");
  made.stride = o.extent("stride");
  made.padding = o.padding();
  made.rhs_dilation = o.extent("rhs_dilation");
  made.groups = o.integer("groups");
  made.w_init = o.blank("w_init");
  made.b_init = o.blank("b_init");
  made.w_mask = o.mask();
  made.channel_first = o.flag("channel_first");
  made.compute = o.compute();
  made.name = o.text("name");
  return made;
}

template <class Conv>
Made conv3d_of(const ModuleConfig& d) {
  const Options o(d);
  auto made = conv_options<Conv3dOptions>(o);
  made.lhs_dilation = o.extent("lhs_dilation");
  return std::make_unique<Conv>(std::move(made));
}

Made conv_transpose3d_of(const ModuleConfig& d) {
  return std::make_unique<ConvTranspose3d>(conv_options<ConvTranspose3dOptions>(Options(d)));
}

Made scaled_ws_conv3d_of(const ModuleConfig& d) {
  const Options o(d);
  auto made = conv_options<ScaledWSConv3dOptions>(o);
  made.lhs_dilation = o.extent("lhs_dilation");
  made.ws_gain = o.flag("ws_gain");
  made.eps = o.real("eps");
  return std::make_unique<ScaledWSConv3d>(std::move(made));
}

Made depthwise_separable_conv3d_of(const ModuleConfig& d) {
  const Options o(d);
  const auto& in_size = o.integers("in_size");
  const std::int64_t multiplier = o.integer("multiplier");
  // Each input channel has its own kernels, so both numbers are limited by the values in the file.
  if (!in_size.empty()) check_limit(d.kind, in_size.back());
  check_limit(d.kind, multiplier);
  return std::make_unique<DepthwiseSeparableConv3d>(
      DepthwiseSeparableConv3dOptions{.in_size = in_size,
                                      .out_channels = o.integer("out_channels"),
                                      .kernel_size = o.extent("kernel_size"),
                                      .stride = o.extent("stride"),
                                      .padding = o.padding(),
                                      .rhs_dilation = o.extent("rhs_dilation"),
                                      .multiplier = multiplier,
                                      .w_init = o.blank("w_init"),
                                      .b_init = o.blank("b_init"),
                                      .name = o.text("name")});
}

Made linear_of(const ModuleConfig& d) {
  const Options o(d);
  return std::make_unique<Linear>(LinearOptions{.in_size = o.integers("in_size"),
                                                .out_features = o.integer("out_features"),
                                                .w_init = o.blank("w_init"),
                                                .b_init = o.blank("b_init"),
                                                .w_mask = o.mask(),
                                                .name = o.text("name")});
}

// Counts the two values per channel that no initializer of the description makes. The layer refuses a negative number
// of channels.
void take_statistics(const std::string& kind, std::int64_t channels) {
  for (int i = 0; i < 2; ++i) take_from_limit(kind, std::max<std::int64_t>(0, channels));
}

Made batch_norm3d_of(const ModuleConfig& d) {
  const Options o(d);
  const auto& in_size = o.integers("in_size");
  if (!in_size.empty()) take_statistics(d.kind, in_size.back());  // running mean and variance
  return std::make_unique<BatchNorm3d>(BatchNorm3dOptions{.in_size = in_size,
                                                          .epsilon = o.real("epsilon"),
                                                          .momentum = o.real("momentum"),
                                                          .affine = o.flag("affine"),
                                                          .bias_initializer = o.blank("bias_init"),
                                                          .scale_initializer = o.blank("scale_init"),
                                                          .name = o.text("name")});
}

// The members that the options of GroupNorm and LayerNorm share.
template <class O>
O norm_options(const Options& o) {
  O made;
  made.in_size = o.integers("in_size");
  made.epsilon = o.real("epsilon");
  made.use_bias = o.flag("use_bias");
  made.use_scale = o.flag("use_scale");
  made.bias_init = o.blank("bias_init");
  made.scale_init = o.blank("scale_init");
  made.name = o.text("name");
  return made;
}

Made group_norm_of(const ModuleConfig& d) {
  const Options o(d);
  const auto given = [&](const char* name) {
    return o.has(name) ? std::optional(o.integer(name)) : std::optional<std::int64_t>();
  };
  auto made = norm_options<GroupNormOptions>(o);
  made.num_groups = given("num_groups");
  made.group_size = given("group_size");
  return std::make_unique<GroupNorm>(std::move(made));
}

Made instance_norm3d_of(const ModuleConfig& d) {
  const Options o(d);
  const auto& in_size = o.integers("in_size");
  if (!in_size.empty() && o.flag("affine")) take_statistics(d.kind, in_size.back());  // scale and bias
  return std::make_unique<InstanceNorm3d>(InstanceNorm3dOptions{
      .in_size = in_size, .epsilon = o.real("epsilon"), .affine = o.flag("affine"), .name = o.text("name")});
}

Made layer_norm_of(const ModuleConfig& d) {
  const Options o(d);
  auto made = norm_options<LayerNormOptions>(o);
  made.reduction_axes = o.axes("reduction_axes");
  made.feature_axes = o.axes("feature_axes");
  return std::make_unique<LayerNorm>(std::move(made));
}

template <class Pool, class PoolOptions>
Made pool_of(const ModuleConfig& d) {
  const Options o(d);
  return std::make_unique<Pool>(PoolOptions{.kernel_size = o.extent("kernel_size"),
                                            .stride = o.extent("stride"),
                                            .padding = o.padding(),
                                            .in_size = o.integers("in_size"),
                                            .name = o.text("name")});
}

Made global_avg_pool3d_of(const ModuleConfig& d) {
  const Options o(d);
  return std::make_unique<GlobalAvgPool3d>(
      GlobalAvgPool3dOptions{.in_size = o.integers("in_size"), .name = o.text("name")});
}

template <class Pool>
Made adaptive_pool3d_of(const ModuleConfig& d) {
  const Options o(d);
  return std::make_unique<Pool>(AdaptivePool3dOptions{
      .output_size = o.extent("output_size"), .in_size = o.integers("in_size"), .name = o.text("name")});
}

// The members that the options of the residual blocks share.
template <class O>
O residual_options(const Options& o) {
  O made;
  made.in_size = o.integers("in_size");
  made.stride = o.extent("stride");
  made.norm = o.text("norm");
  made.num_groups = o.integer("num_groups");
  made.activation = o.text("activation");
  made.w_init = o.blank("w_init");
  made.name = o.text("name");
  return made;
}

Made residual_block3d_of(const ModuleConfig& d) {
  const Options o(d);
  auto made = residual_options<ResidualBlock3dOptions>(o);
  made.out_channels = o.integer("out_channels");
  return std::make_unique<ResidualBlock3d>(std::move(made));
}

Made bottleneck_block3d_of(const ModuleConfig& d) {
  const Options o(d);
  auto made = residual_options<BottleneckBlock3dOptions>(o);
  made.channels = o.integer("channels");
  made.expansion = o.integer("expansion");
  return std::make_unique<BottleneckBlock3d>(std::move(made));
}

Made squeeze_excite3d_of(const ModuleConfig& d) {
  const Options o(d);
  return std::make_unique<SqueezeExcite3d>(SqueezeExcite3dOptions{.in_size = o.integers("in_size"),
                                                                  .reduction = o.integer("reduction"),
                                                                  .w_init = o.blank("w_init"),
                                                                  .name = o.text("name")});
}

Made prelu_of(const ModuleConfig& d) {
  const Options o(d);
  const auto& in_size = o.integers("in_size");
  if (!in_size.empty() && o.flag("per_channel")) take_from_limit(d.kind, std::max<std::int64_t>(0, in_size.back()));
  return std::make_unique<PReLU>(PReLUOptions{
      .per_channel = o.flag("per_channel"), .initial = o.real("initial"), .in_size = in_size, .name = o.text("name")});
}
Made elu_of(const ModuleConfig& d) { return std::make_unique<ELU>(ELUOptions{.alpha = Options(d).real("alpha")}); }
Made softplus_of(const ModuleConfig& d) {
  const Options o(d);
  return std::make_unique<Softplus>(SoftplusOptions{.beta = o.real("beta"), .threshold = o.real("threshold")});
}

Made leaky_relu_of(const ModuleConfig& d) {
  return std::make_unique<LeakyReLU>(LeakyReLUOptions{.negative_slope = Options(d).real("negative_slope")});
}
Made gelu_of(const ModuleConfig& d) {
  return std::make_unique<GELU>(GELUOptions{.approximate = Options(d).flag("approximate")});
}
Made softmax_of(const ModuleConfig& d) {
  return std::make_unique<Softmax>(SoftmaxOptions{.axis = Options(d).axis("axis")});
}

// The seed is not saved. The random stream is, because it is a state.
template <class D>
Made dropout_of(const ModuleConfig& d) {
  const Options o(d);
  DropoutOptions made{.keep_prob = o.real("keep_prob"), .name = o.text("name")};
  if (o.text("random") == "own") made.seed = 0;
  return std::make_unique<D>(std::move(made));
}

Made flatten_of(const ModuleConfig& d) {
  const Options o(d);
  return std::make_unique<Flatten>(FlattenOptions{.start_axis = o.axis("start_axis"),
                                                  .end_axis = o.axis("end_axis"),
                                                  .in_size = o.integers("in_size"),
                                                  .name = o.text("name")});
}

Made upsample_of(const ModuleConfig& d) {
  const Options o(d);
  UpsampleOptions made{
      .scale = o.extent("scale"), .mode = o.text("mode"), .in_size = o.integers("in_size"), .name = o.text("name")};
  if (o.has("align_corners")) made.align_corners = o.flag("align_corners");
  if (o.has("size")) made.size = o.extent("size");
  if (o.has("scale_factor")) made.scale_factor = o.reals("scale_factor");
  return std::make_unique<Upsample>(std::move(made));
}

Made sequential_of(const ModuleConfig& d) {
  auto made = std::make_unique<Sequential>();
  for (const auto& [name, child] : d.children) made->push_back(std::shared_ptr<Module>(make_module(child)));
  return made;
}

Made branches_of(const ModuleConfig& d) {
  const Options o(d);
  auto made = std::make_unique<Branches>(BranchesOptions{.join = o.text("join"), .name = o.text("name")});
  for (const auto& [name, child] : d.children) made->push_back(std::shared_ptr<Module>(make_module(child)));
  return made;
}

Made zero_pad3d_of(const ModuleConfig& d) {
  const Options o(d);
  return std::make_unique<ZeroPad3d>(
      ZeroPad3dOptions{.padding = o.padding(), .in_size = o.integers("in_size"), .name = o.text("name")});
}

struct Entry {
  std::string_view kind;
  Maker make;
};
constexpr Entry table[] = {{"AdaptiveAvgPool3d", adaptive_pool3d_of<AdaptiveAvgPool3d>},
                           {"AdaptiveMaxPool3d", adaptive_pool3d_of<AdaptiveMaxPool3d>},
                           {"AvgPool3d", pool_of<AvgPool3d, AvgPool3dOptions>},
                           {"BatchNorm3d", batch_norm3d_of},
                           {"BottleneckBlock3d", bottleneck_block3d_of},
                           {"Branches", branches_of},
                           {"Conv3d", conv3d_of<Conv3d>},
                           {"ConvTranspose3d", conv_transpose3d_of},
                           {"DepthwiseSeparableConv3d", depthwise_separable_conv3d_of},
                           {"Dropout", dropout_of<Dropout>},
                           {"ELU", elu_of},
                           {"Flatten", flatten_of},
                           {"GELU", gelu_of},
                           {"GlobalAvgPool3d", global_avg_pool3d_of},
                           {"GroupNorm", group_norm_of},
                           {"Identity", plain<Identity>},
                           {"InstanceNorm3d", instance_norm3d_of},
                           {"LayerNorm", layer_norm_of},
                           {"LeakyReLU", leaky_relu_of},
                           {"Linear", linear_of},
                           {"MaxPool3d", pool_of<MaxPool3d, MaxPool3dOptions>},
                           {"PReLU", prelu_of},
                           {"ReLU", plain<ReLU>},
                           {"ResidualBlock3d", residual_block3d_of},
                           {"ScaledWSConv3d", scaled_ws_conv3d_of},
                           {"Sequential", sequential_of},
                           {"SiLU", plain<SiLU>},
                           {"Sigmoid", plain<Sigmoid>},
                           {"Softmax", softmax_of},
                           {"Softplus", softplus_of},
                           {"SpatialDropout3d", dropout_of<SpatialDropout3d>},
                           {"SqueezeExcite3d", squeeze_excite3d_of},
                           {"Tanh", plain<Tanh>},
                           {"Upsample", upsample_of},
                           {"WeightNormConv3d", conv3d_of<WeightNormConv3d>},
                           {"ZeroPad3d", zero_pad3d_of}};

}  // namespace

Maker find_layer(std::string_view kind) {
  const auto* it = std::find_if(std::begin(table), std::end(table), [&](const Entry& e) { return e.kind == kind; });
  return it == std::end(table) ? nullptr : it->make;
}

std::vector<std::string> layer_kinds() {
  std::vector<std::string> kinds;
  for (const Entry& e : table) kinds.emplace_back(e.kind);
  return kinds;
}

}  // namespace vg::registry
