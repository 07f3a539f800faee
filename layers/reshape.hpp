// Layers that move elements: Flatten, Upsample.
#pragma once

#include "layers/layer.hpp"

namespace vg {

struct FlattenOptions {
  int start_axis = 0;  ///< axes of in_size, so without the batch axis
  int end_axis = -1;   ///< inclusive
  Size in_size{};      ///< any rank
  std::string name{};
};

/// Joins the axes start_axis ... end_axis of each sample: (B, H, W, D, C) -> (B, H * W * D * C). It needs in_size (or
/// Sequential) to know what a sample is; any number of axes may stand before it.
class Flatten : public Layer {
 public:
  explicit Flatten(FlattenOptions options = {});
  Variable update(const Variable& x) override;
  void build(const Size& in_size) override;
  std::string kind() const override { return "Flatten"; }
  Values options() const override;

 private:
  int start_axis_, end_axis_;
};

struct UpsampleOptions {
  Extent3 scale = 2;
  std::string mode = "nearest";  ///< the only one
  Size in_size{};                ///< (H, W, D, C), optional
  std::string name{};
};

/// Each voxel repeated `scale` times an axis: (B, H, W, D, C) -> (B, H * s, W * s, D * s, C), with or without a batch
/// axis.
class Upsample : public Layer {
 public:
  explicit Upsample(UpsampleOptions options = {});
  Variable update(const Variable& x) override;
  void build(const Size& in_size) override;
  std::string kind() const override { return "Upsample"; }
  Values options() const override;

 private:
  Triple scale_{2, 2, 2};
};

}  // namespace vg
