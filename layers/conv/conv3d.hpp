// Conv3d: brainstate.nn.Conv3d in C++, and layers built like it.
#pragma once

#include <optional>
#include <string>

#include "voxgrad/layers/conv/conv_layer3d.hpp"

namespace vg {

struct Conv3dOptions {
  Size in_size{};  ///< (H, W, D, C), or (C, H, W, D) with channel_first; spatial extents may be vg::dynamic
  std::int64_t out_channels = 0;  ///< required
  TripleArg kernel_size{};        ///< required
  TripleArg stride = 1;
  Padding padding = "SAME";    ///< negative numbers crop, by at most the (dilated) extent
  TripleArg lhs_dilation = 1;  ///< may exceed 1 only with explicit padding
  TripleArg rhs_dilation = 1;
  std::int64_t groups = 1;  ///< divides in_channels and out_channels
  Initializer w_init = init::XavierNormal();
  Initializer b_init = std::nullopt;  ///< no bias
  Initializer w_mask = std::nullopt;  ///< multiplied into the kernel in every call, and so into its gradient
  bool channel_first = false;
  Compute compute = Compute::automatic;  ///< bf16: always, as in a vg::AutocastGuard scope; full: never
  std::string name{};

  void fields(Fields& f);
};

/// Cross-correlation over volumes: x (B, H, W, D, C), or (H, W, D, C) without a batch axis, where each sample has
/// in_size -> (B, H', W', D', out_channels). The kernel is (kh, kw, kd, in_channels / groups, out_channels), the bias
/// (1, 1, 1, out_channels), or (1, out_channels, 1, 1, 1) channel-first. Initial values are f32 unless they are given
/// as f64 arrays. Initializers draw in the order mask, kernel, bias. Throws ValueError or TypeError naming the
/// argument, before anything is drawn; also for a size whose output would be empty because the kernel does not fit into
/// the padded input (the op vg::conv3d returns an empty output then, as jax does).
class Conv3d : public ConvLayerWith<Conv3dOptions> {
 public:
  explicit Conv3d(Conv3dOptions options);
  std::string kind() const override { return "Conv3d"; }
};

struct ScaledWSConv3dOptions {
  Size in_size{};
  std::int64_t out_channels = 0;  ///< required
  TripleArg kernel_size{};        ///< required
  TripleArg stride = 1;
  Padding padding = "SAME";
  TripleArg lhs_dilation = 1;
  TripleArg rhs_dilation = 1;
  std::int64_t groups = 1;
  bool ws_gain = true;  ///< a leaf "gain" of ones, (1, 1, 1, 1, out_channels)
  double eps = 1e-4;    ///< the lower bound of variance * fan_in
  Initializer w_init = init::XavierNormal();
  Initializer b_init = std::nullopt;
  Initializer w_mask = std::nullopt;
  bool channel_first = false;
  Compute compute = Compute::automatic;
  std::string name{};

  void fields(Fields& f);
};

/// A Conv3d whose kernel is standardised in every call: (w - mean) * gain / sqrt(max(var * fan_in, eps)), with the mean
/// and biased variance of each output channel. The mask is applied after that. Everything else is as in Conv3d.
class ScaledWSConv3d : public ConvLayerWith<ScaledWSConv3dOptions> {
 public:
  explicit ScaledWSConv3d(ScaledWSConv3dOptions options);
  std::string kind() const override { return "ScaledWSConv3d"; }

 protected:
  Variable kernel() const override;
  void add_leaves(DType dtype) override;
};

struct DepthwiseSeparableConv3dOptions {
  Size in_size{};
  std::int64_t out_channels = 0;  ///< required
  TripleArg kernel_size{};        ///< required
  TripleArg stride = 1;
  Padding padding = "SAME";
  TripleArg rhs_dilation = 1;
  std::int64_t multiplier = 1;  ///< depthwise channels per input channel
  Initializer w_init = init::XavierNormal();
  Initializer b_init = std::nullopt;  ///< of both convolutions
  std::string name{};

  void fields(Fields& f);
};

/// A convolution of each channel by itself (`depthwise`), then a 1 x 1 x 1 convolution across channels (`pointwise`).
/// It needs few weights and multiply-adds for a wide layer.
class DepthwiseSeparableConv3d : public LayerWith<DepthwiseSeparableConv3dOptions> {
 public:
  explicit DepthwiseSeparableConv3d(DepthwiseSeparableConv3dOptions options);
  std::optional<Conv3d> depthwise, pointwise;  ///< set once the layer is built

  Variable update(Variable x) override;
  void visit(Visitor& v) override;
  void build(const Size& in_size) override;
  std::string kind() const override { return "DepthwiseSeparableConv3d"; }
};

}  // namespace vg
