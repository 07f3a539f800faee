// Layers that rearrange or resize: Flatten, Upsample.
#pragma once

#include <string>
#include <vector>

#include "voxgrad/layers/layer.hpp"

namespace vg {

struct FlattenOptions {
  int start_axis = 0;  ///< axes of in_size, so the batch axis is not counted
  int end_axis = -1;   ///< inclusive
  Size in_size{};      ///< any rank
  std::string name{};

  void fields(Fields& f);
};

/// Joins the axes start_axis ... end_axis of each sample: (B, H, W, D, C) -> (B, H * W * D * C). It needs in_size (or
/// Sequential), which defines the axes of a sample. Any number of axes may precede it.
class Flatten : public LayerWith<FlattenOptions> {
 public:
  explicit Flatten(FlattenOptions options = {});
  Variable update(Variable x) override;
  void build(const Size& in_size) override;
  std::string kind() const override { return "Flatten"; }
};

struct UpsampleOptions {
  TripleArg scale = 2;
  std::string mode = "nearest";  ///< or "trilinear"
  bool align_corners = false;    ///< for "trilinear": the first and last voxels keep their places
  TripleArg size{};              ///< for "trilinear", instead of scale: the output's spatial extents
  /// For "trilinear", instead of scale: 1 or 3 positive numbers. The output has floor(in * factor) voxels per axis. An
  /// axis whose extent does not change is copied.
  std::vector<double> scale_factor{};
  Size in_size{};  ///< (H, W, D, C), optional
  std::string name{};

  void fields(Fields& f);
};

/// Upsamples volumes, with or without a batch axis: (B, H, W, D, C) -> (B, H * s, W * s, D * s, C), or to the spatial
/// extents `size`. "nearest" repeats each voxel; "trilinear" interpolates like torch.nn.Upsample.
class Upsample : public LayerWith<UpsampleOptions> {
 public:
  explicit Upsample(UpsampleOptions options = {});
  /// Makes a nearest-neighbour layer with this scale.
  explicit Upsample(Integer auto scale) : Upsample(UpsampleOptions{.scale = scale}) {}
  Variable update(Variable x) override;
  void build(const Size& in_size) override;
  std::string kind() const override { return "Upsample"; }

 private:
  std::int64_t extent(std::size_t i, std::int64_t in) const;
};

}  // namespace vg
