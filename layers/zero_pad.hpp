// ZeroPad3d pads a volume with zeros.
#pragma once

#include "voxgrad/layers/layer.hpp"

namespace vg {

struct ZeroPad3dOptions {
  Padding padding{};  ///< required, explicit: (before, after) per axis; negative numbers crop
  Size in_size{};     ///< (H, W, D, C), optional
  std::string name{};

  void fields(Fields& f);
};

/// x (B, H, W, D, C), or (H, W, D, C), with zeros before and after each spatial axis, as in torch.nn.ZeroPad3d.
class ZeroPad3d : public LayerWith<ZeroPad3dOptions> {
 public:
  explicit ZeroPad3d(ZeroPad3dOptions options);
  /// Makes a layer with the same padding on all sides.
  explicit ZeroPad3d(Integer auto padding) : ZeroPad3d(ZeroPad3dOptions{.padding = padding}) {}
  Variable update(Variable x) override;
  void build(const Size& in_size) override;
  std::string kind() const override { return "ZeroPad3d"; }
};

}  // namespace vg
