// Pooling to a given output size: AdaptiveAvgPool3d and AdaptiveMaxPool3d, with PyTorch's windows.
#pragma once

#include <utility>

#include "voxgrad/framework/ops/pool3d.hpp"
#include "voxgrad/layers/layer.hpp"

namespace vg {

struct AdaptivePool3dOptions {
  TripleArg output_size{};  ///< required: the spatial extents of the output for any input
  Size in_size{};           ///< (H, W, D, C), optional: spatial extents may be vg::dynamic
  std::string name{};

  void fields(Fields& f);
};

/// x (B, H, W, D, C), or (H, W, D, C) without a batch axis -> (B, output_size, C). Along each axis, window o covers
/// floor(o * in / out) to ceil((o + 1) * in / out).
class AdaptivePoolLayer3d : public LayerWith<AdaptivePool3dOptions> {
 public:
  Variable update(Variable x) override;
  void build(const Size& in_size) override;

 protected:
  using LayerWith::LayerWith;
  virtual Variable pool(const Variable& x, const Triple& size) const = 0;
};

/// The mean of each window.
class AdaptiveAvgPool3d : public AdaptivePoolLayer3d {
 public:
  explicit AdaptiveAvgPool3d(AdaptivePool3dOptions o) : AdaptivePoolLayer3d(std::move(o)) { start(); }
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
  explicit AdaptiveMaxPool3d(AdaptivePool3dOptions o) : AdaptivePoolLayer3d(std::move(o)) { start(); }
  /// Makes a layer with this output_size on all axes.
  explicit AdaptiveMaxPool3d(Integer auto output_size)
      : AdaptiveMaxPool3d(AdaptivePool3dOptions{.output_size = output_size}) {}
  std::string kind() const override { return "AdaptiveMaxPool3d"; }

 protected:
  Variable pool(const Variable& x, const Triple& size) const override { return adaptive_max_pool3d(x, size); }
};

}  // namespace vg
