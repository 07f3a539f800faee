// Conv3d: brainstate.nn.Conv3d in C++, and what is built like it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "voxgrad/layers/init/init.hpp"
#include "voxgrad/layers/layer.hpp"

namespace vg {

/// The frame of the convolution layers: checks the arguments, makes the states, adds and removes the batch axis,
/// transposes channels-first input, masks the kernel and adds the bias. A layer says what its kernel looks like and how
/// it convolves.
class ConvLayer3d : public Layer {
 public:
  /// Leaf "weight", and "bias" unless b_init is None; empty before the layer is built. A handle: assigning another
  /// layer's ties the two.
  ParamState weight;

  Variable update(const Variable& x) override;
  void visit(Visitor& v) override { v("weight", weight); }
  void build(const Size& in_size) override;

 protected:
  struct Frame {
    std::int64_t out_channels, groups;
    Initializer w_init, b_init, w_mask;
    bool channel_first;
    Compute compute;
  };
  ConvLayer3d(std::string name, Frame frame);
  /// What the options of a layer say of it.
  template <class Options>
  static Frame frame_of(const Options& o) {
    return {o.out_channels, o.groups, o.w_init, o.b_init, o.w_mask, o.channel_first, o.compute};
  }
  /// For a constructor's end, when kernel_shape() and the rest can be called: checks, and builds unless in_size is
  /// empty.
  void start(const Size& in_size);

  virtual Shape kernel_shape(std::int64_t in_channels) const = 0;
  /// Output extents for those of an input, below 1 where there would be none.
  virtual Triple spatial_out(const Triple& in) const = 0;
  /// x (B, H, W, D, C) -> (B, H', W', D', O), without bias.
  virtual Variable convolve(const Variable& x) = 0;
  /// The leaf that w_init draws.
  virtual std::string_view kernel_leaf() const { return "weight"; }
  /// Leaves beside it and the bias, for a kernel of that dtype.
  virtual void add_leaves(DType) {}
  /// w times the mask, or w.
  Variable masked(const Variable& w);
  /// The options from groups on.
  Attributes frame_options() const;

  std::int64_t out_channels() const { return frame_.out_channels; }
  std::int64_t groups() const { return frame_.groups; }
  Compute compute() const { return frame_.compute; }

 private:
  Triple checked_out(const Triple& in) const;

  Frame frame_;  // its initializers are dropped once they have been used, with the arrays they hold
  std::string w_init_, b_init_, w_mask_;
  Tensor mask_;
  Variable cast_mask_;  // in the kernel's dtype
};

/// The checked spatial arguments of a convolution, where only the padding may wait for the input's extents.
struct ConvWindow {
  /// Of options with these names. Throws ValueError or TypeError, beginning with [where].
  template <class Options>
  ConvWindow(std::string_view where, const Options& o)
      : ConvWindow(where, o.kernel_size, o.stride, o.padding, o.lhs_dilation, o.rhs_dilation) {}
  ConvWindow(std::string_view where, const TripleArg& kernel_size, const TripleArg& stride, const Padding& padding,
             const TripleArg& lhs_dilation, const TripleArg& rhs_dilation);

  Conv3dArgs args(const Triple& in, std::int64_t groups, Compute compute = Compute::automatic) const;
  Triple out_size(std::string_view where, const Triple& in) const;
  Shape kernel_shape(std::int64_t inputs, std::int64_t outputs) const {
    return {kernel[0], kernel[1], kernel[2], inputs, outputs};
  }
  Attributes options() const;

  Triple kernel, stride, lhs_dilation, rhs_dilation;
  Padding padding;
};

struct Conv3dOptions {
  Size in_size{};  ///< (H, W, D, C), or (C, H, W, D) with channel_first; spatial extents may be vg::dynamic
  std::int64_t out_channels = 0;  ///< required
  TripleArg kernel_size{};        ///< required
  TripleArg stride = 1;
  Padding padding = "SAME";    ///< negative numbers crop, at most the (dilated) extent
  TripleArg lhs_dilation = 1;  ///< more than 1 only with explicit padding
  TripleArg rhs_dilation = 1;
  std::int64_t groups = 1;  ///< divides in_channels and out_channels
  Initializer w_init = init::XavierNormal();
  Initializer b_init = std::nullopt;  ///< no bias
  Initializer w_mask = std::nullopt;  ///< multiplied into the kernel in every pass, so into its gradient too
  bool channel_first = false;
  Compute compute = Compute::automatic;  ///< bf16: as in a vg::AutocastGuard scope, always; full: never
  std::string name{};
};

/// Cross-correlation over volumes: x (B, H, W, D, C), or (H, W, D, C) without a batch axis, each sample of in_size ->
/// (B, H', W', D', out_channels). Kernel (kh, kw, kd, in_channels / groups, out_channels), bias (1, 1, 1, out_channels)
/// or (1, out_channels, 1, 1, 1) channel-first; initial values are f32 unless arrays of f64 are given. Initializers
/// draw in the order mask, kernel, bias. Throws ValueError or TypeError that names the argument, before anything is
/// drawn: also for a size whose output would be empty, because the kernel does not fit into the padded input (the op
/// vg::conv3d gives an empty output then, as jax does).
class Conv3d : public ConvLayer3d {
 public:
  explicit Conv3d(Conv3dOptions options);
  std::string kind() const override { return "Conv3d"; }
  Attributes options() const override;

 protected:
  Shape kernel_shape(std::int64_t in_channels) const override;
  Triple spatial_out(const Triple& in) const override { return window_.out_size(where(), in); }
  Variable convolve(const Variable& x) override;

 private:
  ConvWindow window_;
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
  double eps = 1e-4;    ///< the least of variance * fan_in
  Initializer w_init = init::XavierNormal();
  Initializer b_init = std::nullopt;
  Initializer w_mask = std::nullopt;
  bool channel_first = false;
  Compute compute = Compute::automatic;
  std::string name{};
};

/// A Conv3d whose kernel is standardised in every pass: (w - mean) * gain / sqrt(max(var * fan_in, eps)), mean and
/// biased variance of each output channel; the mask comes after that. Everything else as Conv3d.
class ScaledWSConv3d : public ConvLayer3d {
 public:
  explicit ScaledWSConv3d(ScaledWSConv3dOptions options);
  std::string kind() const override { return "ScaledWSConv3d"; }
  Attributes options() const override;

 protected:
  Shape kernel_shape(std::int64_t in_channels) const override;
  Triple spatial_out(const Triple& in) const override { return window_.out_size(where(), in); }
  Variable convolve(const Variable& x) override;
  void add_leaves(DType dtype) override;

 private:
  ConvWindow window_;
  bool ws_gain_;
  double eps_;
};

struct DepthwiseSeparableConv3dOptions {
  Size in_size{};
  std::int64_t out_channels = 0;  ///< required
  TripleArg kernel_size{};        ///< required
  TripleArg stride = 1;
  Padding padding = "SAME";
  TripleArg rhs_dilation = 1;
  std::int64_t multiplier = 1;  ///< depthwise channels for each input channel
  Initializer w_init = init::XavierNormal();
  Initializer b_init = std::nullopt;  ///< of both
  std::string name{};
};

/// A convolution of each channel by itself (`depthwise`), then one of 1 x 1 x 1 across channels (`pointwise`): few
/// weights and multiply-adds for a wide layer.
class DepthwiseSeparableConv3d : public Layer {
 public:
  explicit DepthwiseSeparableConv3d(DepthwiseSeparableConv3dOptions options);
  std::optional<Conv3d> depthwise, pointwise;  ///< there once the layer is built

  Variable update(const Variable& x) override;
  void visit(Visitor& v) override;
  void build(const Size& in_size) override;
  std::string kind() const override { return "DepthwiseSeparableConv3d"; }
  Attributes options() const override;

 private:
  DepthwiseSeparableConv3dOptions options_;
};

}  // namespace vg
