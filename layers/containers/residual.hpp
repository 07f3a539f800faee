// Residual blocks of 3-D ResNets.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "voxgrad/layers/containers/sequential.hpp"
#include "voxgrad/layers/init/init.hpp"

namespace vg {

/// The common base of the residual blocks: y = activation(main(x) + shortcut(x)). The shortcut is x itself, or a 1 x 1
/// x 1 convolution with its normalisation if the stride is not 1 or the channels change. The convolutions have no bias.
template <class O>
class ResidualLayer3d : public LayerWith<O> {
 public:
  std::optional<Sequential> main, shortcut;  ///< set once the layer is built; without a shortcut x itself is used
  std::shared_ptr<Module> activation;

  Variable update(Variable x) override;
  void visit(Visitor& v) override;
  void build(const Size& in_size) override;

 protected:
  using LayerWith<O>::LayerWith;
  virtual std::int64_t out_channels() const = 0;
  virtual Sequential make_main() const = 0;

  /// Adds a convolution and its normalisation to the net.
  void add_conv(Sequential& net, std::int64_t channels, std::int64_t kernel_size, const TripleArg& stride) const;
  std::shared_ptr<Module> make_activation() const;
};

struct ResidualBlock3dOptions {
  Size in_size{};                                          ///< (H, W, D, C); spatial extents may be vg::dynamic
  std::int64_t out_channels = 0;                           ///< required
  TripleArg stride = 1;                                    ///< of the first convolution
  std::string norm = "batch";                              ///< "batch", "group" or "instance" (norm_by_name)
  std::int64_t num_groups = 8;                             ///< for "group"
  std::string activation = "relu";                         ///< "relu", "leaky_relu", "elu", "gelu" or "silu"
  Initializer w_init = init::KaimingNormal(2, "fan_out");  ///< of every convolution
  std::string name{};

  void fields(Fields& f);
};

/// conv 3 - norm - activation - conv 3 - norm, plus the shortcut: torchvision's BasicBlock of r3d_18.
class ResidualBlock3d : public ResidualLayer3d<ResidualBlock3dOptions> {
 public:
  explicit ResidualBlock3d(ResidualBlock3dOptions options);
  std::string kind() const override { return "ResidualBlock3d"; }

 protected:
  std::int64_t out_channels() const override { return options_.out_channels; }
  Sequential make_main() const override;
};

struct BottleneckBlock3dOptions {
  Size in_size{};
  std::int64_t channels = 0;   ///< required: of the middle convolution
  std::int64_t expansion = 4;  ///< out_channels = channels * expansion
  TripleArg stride = 1;        ///< of the 3 x 3 x 3 convolution
  std::string norm = "batch";
  std::int64_t num_groups = 8;
  std::string activation = "relu";
  Initializer w_init = init::KaimingNormal(2, "fan_out");
  std::string name{};

  void fields(Fields& f);
};

/// conv 1 - norm - activation - conv 3 - norm - activation - conv 1 - norm, plus the shortcut: torchvision's Bottleneck
/// in three dimensions, with the stride in the middle convolution.
class BottleneckBlock3d : public ResidualLayer3d<BottleneckBlock3dOptions> {
 public:
  explicit BottleneckBlock3d(BottleneckBlock3dOptions options);
  std::string kind() const override { return "BottleneckBlock3d"; }

 protected:
  std::int64_t out_channels() const override { return options_.channels * options_.expansion; }
  Sequential make_main() const override;
};

}  // namespace vg
