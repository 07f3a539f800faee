// SqueezeExcite3d scales each channel by a factor computed from the whole volume.
#pragma once

#include <optional>

#include "voxgrad/layers/init/init.hpp"
#include "voxgrad/layers/linear.hpp"

namespace vg {

struct SqueezeExcite3dOptions {
  Size in_size{};                              ///< (H, W, D, C); spatial extents may be vg::dynamic
  std::int64_t reduction = 16;                 ///< the hidden layer has max(1, C / reduction) features
  Initializer w_init = init::KaimingNormal();  ///< of both linear layers
  std::string name{};

  void fields(Fields& f);
};

/// x * sigmoid(excite(relu(squeeze(mean of x over space)))), with one factor per channel: "Squeeze-and-Excitation
/// Networks" (Hu et al. 2018), in three dimensions as in MONAI's ChannelSELayer. x (B, H, W, D, C), or one sample of
/// in_size.
class SqueezeExcite3d : public LayerWith<SqueezeExcite3dOptions> {
 public:
  explicit SqueezeExcite3d(SqueezeExcite3dOptions options = {});
  std::optional<Linear> squeeze, excite;  ///< set once the layer is built; both have a bias

  Variable update(Variable x) override;
  void visit(Visitor& v) override;
  void build(const Size& in_size) override;
  std::string kind() const override { return "SqueezeExcite3d"; }
};

}  // namespace vg
