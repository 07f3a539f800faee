#include "support/every_layer.hpp"

#include "voxgrad/layers/layers.hpp"

namespace vg::test {

using namespace vg;

namespace {

template <class M>
LayerCase of(M model, const Shape& input) {
  return {std::make_shared<M>(std::move(model)), input};
}

}  // namespace

std::vector<LayerCase> every_layer() {
  const Initializer ones = init::Constant(0.5);
  const Size volume{4, 5, 6, 4}, open{dynamic, dynamic, dynamic, 4};
  const Shape x{2, 4, 5, 6, 4};
  std::vector<LayerCase> all{
      of(Conv3d({.in_size = volume, .out_channels = 6, .kernel_size = {3, 2, 1}, .stride = {1, 2, 1}}), x),
      of(Conv3d({.in_size = open,
                 .out_channels = 4,
                 .kernel_size = 3,
                 .padding = {{1, 0}, {-1, 2}, {0, 3}},
                 .lhs_dilation = {2, 1, 1},
                 .rhs_dilation = {1, 2, 1},
                 .groups = 2,
                 .b_init = ones,
                 .w_mask = Tensor::of<float>({4}, {1, 0, 0.25f, -2}),
                 .name = "odd"}),
         x),
      of(Conv3d({.in_size = {4, 4, 5, 6},
                 .out_channels = 2,
                 .kernel_size = 2,
                 .padding = "VALID",
                 .b_init = ones,
                 .channel_first = true,
                 .compute = Compute::bf16}),
         {2, 4, 4, 5, 6}),
      of(ConvTranspose3d({.in_size = volume,
                          .out_channels = 6,
                          .kernel_size = 3,
                          .stride = 2,
                          .groups = 2,
                          .b_init = ones,
                          .w_mask = Tensor::full({3, 3, 3, 1, 1}, 0.1, f64)}),
         x),
      of(ScaledWSConv3d({.in_size = volume, .out_channels = 6, .kernel_size = 3, .padding = 1, .eps = 1e-3}), x),
      of(ScaledWSConv3d({.in_size = volume, .out_channels = 6, .kernel_size = 3, .ws_gain = false, .b_init = ones}), x),
      of(DepthwiseSeparableConv3d({.in_size = volume,
                                   .out_channels = 3,
                                   .kernel_size = 3,
                                   .rhs_dilation = 2,
                                   .multiplier = 2,
                                   .b_init = ones}),
         x),
      of(Linear({.in_size = {dynamic, 4}, .out_features = 3, .w_mask = Tensor::of<float>({3}, {1, 0, 2})}), {7, 4}),
      of(Linear({.in_size = {4}, .out_features = 3, .b_init = std::nullopt, .name = "head"}), {7, 4}),
      of(BatchNorm3d({.in_size = volume, .epsilon = 1e-3, .momentum = 0.5}), x),
      of(BatchNorm3d({.in_size = open, .affine = false}), x),
      of(GroupNorm({.in_size = {4}, .num_groups = 2, .use_bias = false}), x),
      of(GroupNorm({.in_size = {4}, .num_groups = std::nullopt, .group_size = 4, .use_scale = false}), x),
      of(InstanceNorm3d({.in_size = {4}, .affine = true}), x),
      of(InstanceNorm3d({.in_size = volume, .epsilon = 1e-2}), x),
      of(LayerNorm({.in_size = {6, 4}, .reduction_axes = {-1, -2}, .feature_axes = {-1}, .epsilon = 1e-4}), x),
      of(LayerNorm({.in_size = {6, 4}, .reduction_axes = {0}, .feature_axes = {0, 1}, .use_bias = false}), x),
      of(MaxPool3d({.kernel_size = 2, .stride = 1, .padding = "SAME", .in_size = volume}), x),
      of(AvgPool3d({.kernel_size = {2, 3, 2}, .padding = {{1, 0}, {0, 2}, {1, 1}}}), x),
      of(GlobalAvgPool3d({.in_size = volume}), x),
      of(GlobalAvgPool3d({.name = "mean"}), x),
      of(Flatten({.start_axis = 1, .end_axis = -2, .in_size = volume}), x),
      of(Upsample({.scale = {1, 2, 3}}), x),
      of(Dropout({.keep_prob = 0.25, .seed = 9}), x),
      of(Dropout({.keep_prob = 0.75}), x),
      of(SpatialDropout3d({.keep_prob = 0.25, .seed = 4}), x),
      of(Upsample({.mode = "trilinear", .align_corners = true, .size = {7, 3, 5}}), x),
      of(Upsample({.mode = "trilinear", .scale_factor = {1.5, 2, 0.6}, .in_size = volume}), x),
      of(Upsample({.scale = 3, .mode = "trilinear", .in_size = open}), x),
      of(AdaptiveAvgPool3d({.output_size = {2, 1, 7}, .in_size = volume}), x),
      of(AdaptiveMaxPool3d({.output_size = 2}), x),
      of(WeightNormConv3d({.in_size = volume, .out_channels = 6, .kernel_size = 3, .groups = 2, .b_init = ones}), x),
      of(PReLU({.per_channel = true, .in_size = {4}}), x),
      of(PReLU({.initial = 0.1}), x),
      of(ZeroPad3d({.padding = {{1, 0}, {-1, 2}, {0, 3}}, .in_size = volume}), x),
      of(ELU({.alpha = 0.3}), x),
      of(Softplus({.beta = 2, .threshold = 1}), x),
      of(SqueezeExcite3d({.in_size = volume, .reduction = 2}), x),
      of(ResidualBlock3d({.in_size = volume, .out_channels = 6, .stride = {1, 2, 1}}), x),
      of(ResidualBlock3d({.in_size = open, .out_channels = 4, .norm = "group", .num_groups = 2, .activation = "elu"}),
         x),
      of(BottleneckBlock3d({.in_size = volume, .channels = 2, .expansion = 3, .norm = "instance"}), x),
      of(Branches({.join = "concat", .name = "skip"}, Identity(),
                  Sequential(Conv3d({.in_size = volume, .out_channels = 2, .kernel_size = 3}), ReLU())),
         x),
      of(Branches({}, Conv3d({.in_size = volume, .out_channels = 4, .kernel_size = 1}), Identity()), x),
      of(LeakyReLU({.negative_slope = 0.3}), x),
      of(GELU({.approximate = true}), x),
      of(Softmax({.axis = 1}), x),
      of(ReLU(), x),
      of(SiLU(), x),
      of(Sigmoid(), x),
      of(Tanh(), x),
      of(Identity(), x),
      of(Sequential(Conv3d({.in_size = volume, .out_channels = 4, .kernel_size = 3}), BatchNorm3d(), ReLU(),
                    Sequential(MaxPool3d({.kernel_size = 2}), Flatten()), Linear({.out_features = 5})),
         x)};
  for (const LayerCase& c : all)  // changes the initial values
    for (const auto& [path, state] : c.model->states())
      for (const std::string& leaf : state.leaves())
        if (is_float(state[leaf].dtype()))
          State(state).set(leaf, random::uniform({7, 9}, state[leaf].shape(), 0.25, 1));
  return all;
}

}  // namespace vg::test
