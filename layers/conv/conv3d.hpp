// Conv3d: brainstate.nn.Conv3d in C++, and layers built like it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "voxgrad/layers/init/init.hpp"
#include "voxgrad/layers/layer.hpp"

namespace vg {

/// The common base of the convolution layers: it checks the arguments, makes the states, adds and removes the batch
/// axis, transposes channels-first input, masks the kernel and adds the bias. A derived layer defines its kernel's
/// shape and the convolution.
class ConvLayer3d : public Layer {
 public:
  /// Leaf "weight", and "bias" unless b_init is None; empty before the layer is built. It is a handle: assigning
  /// another layer's state ties the two.
  ParamState weight;

  Variable update(Variable x) override;
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
  /// The frame for a layer's options.
  template <class Options>
  static Frame frame_of(const Options& o) {
    return {o.out_channels, o.groups, o.w_init, o.b_init, o.w_mask, o.channel_first, o.compute};
  }
  /// Called at the end of a constructor, when kernel_shape() and the other virtual functions can be called. Checks the
  /// options, and builds unless in_size is empty.
  void start(const Size& in_size);

  virtual Shape kernel_shape(std::int64_t in_channels) const = 0;
  /// The output extents for an input of extents `in`; below 1 if the output would be empty.
  virtual Triple spatial_out(const Triple& in) const = 0;
  /// x (B, H, W, D, C) -> (B, H', W', D', O), without bias.
  virtual Variable convolve(const Variable& x) = 0;
  /// The leaf that w_init initializes.
  virtual std::string_view kernel_leaf() const { return "weight"; }
  /// Adds further leaves, for a kernel of that dtype.
  virtual void add_leaves(DType) {}
  /// w times the mask, or w if there is no mask.
  Variable masked(const Variable& w);
  /// The options from `groups` on.
  Attributes frame_options() const;

  std::int64_t out_channels() const { return frame_.out_channels; }
  std::int64_t groups() const { return frame_.groups; }
  Compute compute() const { return frame_.compute; }

 private:
  Triple checked_out(const Triple& in) const;

  Frame frame_;  // its initializers, and the arrays in them, are freed once they have been used
  std::string w_init_, b_init_, w_mask_;
  Tensor mask_;
  Variable cast_mask_;  // the mask in the kernel's dtype
};

/// The checked spatial arguments of a convolution. Only the padding may depend on the input's extents.
struct ConvWindow {
  /// Takes options with these member names. Throws ValueError or TypeError with a message that begins with [where].
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
};

/// Cross-correlation over volumes: x (B, H, W, D, C), or (H, W, D, C) without a batch axis, where each sample has
/// in_size -> (B, H', W', D', out_channels). The kernel is (kh, kw, kd, in_channels / groups, out_channels), the bias
/// (1, 1, 1, out_channels), or (1, out_channels, 1, 1, 1) channel-first. Initial values are f32 unless they are given
/// as f64 arrays. Initializers draw in the order mask, kernel, bias. Throws ValueError or TypeError naming the
/// argument, before anything is drawn; also for a size whose output would be empty because the kernel does not fit into
/// the padded input (the op vg::conv3d returns an empty output then, as jax does).
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
  double eps = 1e-4;    ///< the lower bound of variance * fan_in
  Initializer w_init = init::XavierNormal();
  Initializer b_init = std::nullopt;
  Initializer w_mask = std::nullopt;
  bool channel_first = false;
  Compute compute = Compute::automatic;
  std::string name{};
};

/// A Conv3d whose kernel is standardised in every call: (w - mean) * gain / sqrt(max(var * fan_in, eps)), with the mean
/// and biased variance of each output channel. The mask is applied after that. Everything else is as in Conv3d.
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
  std::int64_t multiplier = 1;  ///< depthwise channels per input channel
  Initializer w_init = init::XavierNormal();
  Initializer b_init = std::nullopt;  ///< of both convolutions
  std::string name{};
};

/// A convolution of each channel by itself (`depthwise`), then a 1 x 1 x 1 convolution across channels (`pointwise`).
/// It needs few weights and multiply-adds for a wide layer.
class DepthwiseSeparableConv3d : public Layer {
 public:
  explicit DepthwiseSeparableConv3d(DepthwiseSeparableConv3dOptions options);
  std::optional<Conv3d> depthwise, pointwise;  ///< set once the layer is built

  Variable update(Variable x) override;
  void visit(Visitor& v) override;
  void build(const Size& in_size) override;
  std::string kind() const override { return "DepthwiseSeparableConv3d"; }
  Attributes options() const override;

 private:
  DepthwiseSeparableConv3dOptions options_;
};

}  // namespace vg
