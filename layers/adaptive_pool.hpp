// Pooling to a given output size: AdaptiveAvgPool3d and AdaptiveMaxPool3d, with PyTorch's windows.
#pragma once

#include "voxgrad/framework/ops/pool3d.hpp"
#include "voxgrad/layers/layer.hpp"

namespace vg {

struct AdaptivePool3dOptions {
  TripleArg output_size{};  ///< required: the spatial extents of the output for any input
  Size in_size{};           ///< (H, W, D, C), optional: spatial extents may be vg::dynamic
  std::string name{};
};

/// x (B, H, W, D, C), or (H, W, D, C) without a batch axis -> (B, output_size, C). Along each axis, window o covers
/// floor(o * in / out) to ceil((o + 1) * in / out).
class AdaptivePoolLayer3d : public Layer {
 public:
  Variable update(Variable x) override;
  void build(const Size& in_size) override;
  Attributes options() const override;

 protected:
  explicit AdaptivePoolLayer3d(std::string name) : Layer(std::move(name)) {}
  /// Called at the end of a constructor, when kind() can be called.
  void start(const AdaptivePool3dOptions& options);
  virtual Variable pool(const Variable& x, const Triple& size) const = 0;

 private:
  Triple output_size_{1, 1, 1};
};

/// The mean of each window.
class AdaptiveAvgPool3d : public AdaptivePoolLayer3d {
 public:
  explicit AdaptiveAvgPool3d(AdaptivePool3dOptions o) : AdaptivePoolLayer3d(o.name) { start(o); }
  /// Makes a layer with this output_size on all axes.
  explicit AdaptiveAvgPool3d(Integer auto output_size)
      : AdaptiveAvgPool3d(AdaptivePool3dOptions{.output_size = output_size}) {}
  std::string kind() const override { return "AdaptiveAvgPool3d"; }

 protected:
  Variable pool(const Variable& x, const Triple& size) const override { return adaptive_avg_pool3d(x, size); }
};

/// The largest value of each window.
class AdaptiveMaxPool3d : public AdaptivePoolLayer3d {
 public:
  explicit AdaptiveMaxPool3d(AdaptivePool3dOptions o) : AdaptivePoolLayer3d(o.name) { start(o); }
  /// Makes a layer with this output_size on all axes.
  explicit AdaptiveMaxPool3d(Integer auto output_size)
      : AdaptiveMaxPool3d(AdaptivePool3dOptions{.output_size = output_size}) {}
  std::string kind() const override { return "AdaptiveMaxPool3d"; }

 protected:
  Variable pool(const Variable& x, const Triple& size) const override { return adaptive_max_pool3d(x, size); }
};

}  // namespace vg
