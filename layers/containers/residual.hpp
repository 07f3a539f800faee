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
class ResidualLayer3d : public Layer {
 public:
  std::optional<Sequential> main, shortcut;  ///< set once the layer is built; without a shortcut x itself is used
  std::shared_ptr<Module> activation;

  Variable update(Variable x) override;
  void visit(Visitor& v) override;
  void build(const Size& in_size) override;

 protected:
  struct Frame {
    std::int64_t out_channels;
    TripleArg stride;
    std::string norm, activation;
    std::int64_t num_groups;
    Initializer w_init;
  };
  ResidualLayer3d(std::string name, Frame frame);
  /// Called at the end of a constructor, when kind() can be called. Checks the options, and builds unless in_size is
  /// empty.
  void start(const Size& in_size);
  virtual Sequential make_main() const = 0;

  /// Adds a convolution and its normalisation to the net.
  void add_conv(Sequential& net, std::int64_t channels, std::int64_t kernel_size, const TripleArg& stride) const;
  std::shared_ptr<Module> make_activation() const;
  const Frame& frame() const { return frame_; }
  /// The options from `stride` on.
  Attributes frame_options() const;

 private:
  Frame frame_;
  std::string w_init_;
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
};

/// conv 3 - norm - activation - conv 3 - norm, plus the shortcut: torchvision's BasicBlock of r3d_18.
class ResidualBlock3d : public ResidualLayer3d {
 public:
  explicit ResidualBlock3d(ResidualBlock3dOptions options);
  std::string kind() const override { return "ResidualBlock3d"; }
  Attributes options() const override;

 protected:
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
};

/// conv 1 - norm - activation - conv 3 - norm - activation - conv 1 - norm, plus the shortcut: torchvision's Bottleneck
/// in three dimensions, with the stride in the middle convolution.
class BottleneckBlock3d : public ResidualLayer3d {
 public:
  explicit BottleneckBlock3d(BottleneckBlock3dOptions options);
  std::string kind() const override { return "BottleneckBlock3d"; }
  Attributes options() const override;

 protected:
  Sequential make_main() const override;

 private:
  std::int64_t channels_, expansion_;
};

}  // namespace vg
