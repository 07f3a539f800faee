// Pooling: MaxPool3d and AvgPool3d as in brainstate, and GlobalAvgPool3d.
#pragma once

#include <utility>

#include "voxgrad/framework/ops/pool3d.hpp"
#include "voxgrad/layers/layer.hpp"

namespace vg {

struct MaxPool3dOptions {
  TripleArg kernel_size{};  ///< required
  TripleArg stride{};       ///< kernel_size if not given
  Padding padding = "VALID";
  Size in_size{};  ///< (H, W, D, C), optional: spatial extents may be vg::dynamic
  std::string name{};

  void fields(Fields& f);
};

struct AvgPool3dOptions {
  TripleArg kernel_size{};  ///< required
  TripleArg stride = 1;     ///< 1 as in brainstate, rather than kernel_size
  Padding padding = "VALID";
  Size in_size{};
  std::string name{};

  void fields(Fields& f);
};

/// The common base of pooling over windows of x (B, H, W, D, C), or (H, W, D, C) without a batch axis. Explicit padding
/// must be in [0, kernel_size). Throws ValueError if the output would be empty.
template <class O>
class PoolLayer3d : public LayerWith<O> {
 public:
  Variable update(Variable x) override;
  void build(const Size& in_size) override;

 protected:
  explicit PoolLayer3d(O options);
  virtual Variable pool(Variable x, const Pool3dArgs& args) const = 0;

 private:
  Pool3dArgs args_for(const Triple& in) const;
  Triple checked_out(const Triple& in) const;
};

/// The largest value of each window. Padding is never the largest.
class MaxPool3d : public PoolLayer3d<MaxPool3dOptions> {
 public:
  explicit MaxPool3d(MaxPool3dOptions options);
  /// Makes a layer whose kernel_size and stride are both this number. AvgPool3d has no such constructor, because its
  /// stride would be 1, as in brainstate, while PyTorch's is the kernel size.
  explicit MaxPool3d(Integer auto kernel_size) : MaxPool3d(MaxPool3dOptions{.kernel_size = kernel_size}) {}
  std::string kind() const override { return "MaxPool3d"; }
  fusion::Op fusion_op() const override { return fusion::Op::max_pool3d; }

 protected:
  Variable pool(Variable x, const Pool3dArgs& args) const override { return max_pool3d(std::move(x), args); }
};

/// The mean of each window; padding is not counted.
class AvgPool3d : public PoolLayer3d<AvgPool3dOptions> {
 public:
  explicit AvgPool3d(AvgPool3dOptions options);
  std::string kind() const override { return "AvgPool3d"; }

 protected:
  Variable pool(Variable x, const Pool3dArgs& args) const override { return avg_pool3d(x, args); }
};

struct GlobalAvgPool3dOptions {
  Size in_size{};  ///< (H, W, D, C), optional
  std::string name{};

  void fields(Fields& f);
};

/// The mean over space: (B, H, W, D, C) -> (B, C), or (H, W, D, C) -> (C,).
class GlobalAvgPool3d : public LayerWith<GlobalAvgPool3dOptions> {
 public:
  explicit GlobalAvgPool3d(GlobalAvgPool3dOptions options = {});
  Variable update(Variable x) override;
  void build(const Size& in_size) override;
  std::string kind() const override { return "GlobalAvgPool3d"; }
};

}  // namespace vg
