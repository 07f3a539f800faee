// What the convolution layers have in common.
#pragma once

#include <string>
#include <string_view>

#include "voxgrad/layers/init/init.hpp"
#include "voxgrad/layers/layer.hpp"

namespace vg {

/// The common base of the convolution layers.
class ConvLayer3d : public Layer {
 public:
  /// Leaf "weight", and "bias" unless b_init is None; empty before the layer is built. It is a handle: assigning
  /// another layer's state ties the two.
  ParamState weight;
  void visit(Visitor& v) override { v("weight", weight); }

 protected:
  using Layer::Layer;
};

/// A convolution layer with options O. It makes the states, adds and removes the batch axis, transposes channels-first
/// input, masks the kernel and adds the bias. A derived layer overrides the steps that differ from those of Conv3d.
template <class O>
class ConvLayerWith : public LayerWith<O, ConvLayer3d> {
 public:
  Variable update(Variable x) override;
  void build(const Size& in_size) override;

 protected:
  using LayerWith<O, ConvLayer3d>::LayerWith;

  virtual Shape kernel_shape(std::int64_t in_channels) const;
  /// The output extents for an input of extents `in`; below 1 if the output would be empty.
  virtual Triple spatial_out(const Triple& in) const;
  /// The kernel of a call, before the mask.
  virtual Variable kernel() const { return this->weight["weight"]; }
  /// x (B, H, W, D, C) -> (B, H', W', D', O), without bias.
  virtual Variable convolve(const Variable& x, const Variable& kernel) const;
  /// The leaf that w_init initializes.
  virtual std::string_view kernel_leaf() const { return "weight"; }
  /// Adds further leaves, for a kernel of that dtype.
  virtual void add_leaves(DType) {}

 private:
  Conv3dArgs args(const Triple& in) const;
  Triple checked_out(const Triple& in) const;

  Tensor mask_;
  Variable cast_mask_;  // the mask in the kernel's dtype
};

}  // namespace vg
