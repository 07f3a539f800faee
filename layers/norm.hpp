// Normalisation: BatchNorm3d, GroupNorm and LayerNorm as in brainstate, and InstanceNorm3d as in PyTorch.
#pragma once

#include <optional>
#include <vector>

#include "voxgrad/layers/init/init.hpp"
#include "voxgrad/layers/layer.hpp"

namespace vg {

/// The common base of the normalisation layers: one state with leaves "scale" and "bias", each of which may be missing.
class NormLayer : public Layer {
 public:
  ParamState weight;

  void visit(Visitor& v) override { v("weight", weight); }

 protected:
  using Layer::Layer;
  /// Adds the leaves with that shape, then replaces the initializers by their texts. A leaf whose initializer is None
  /// is left out.
  void make_weight(const Shape& shape, Initializer& scale_init, Initializer& bias_init);
  /// The leaf as a vector of its entries; undefined if it is missing.
  Variable flat(std::string_view leaf) const;
  /// Throws TypeError unless x has the parameters' dtype.
  void require_dtype(const Variable& x) const;
  /// Normalises groups of channels, then scales and shifts. x is one sample of in_size, or has a batch axis.
  Variable in_groups(const Variable& x, std::int64_t groups, double epsilon) const;
};

struct BatchNorm3dOptions {
  Size in_size{};  ///< (H, W, D, C); spatial extents may be vg::dynamic
  double epsilon = 1e-5;
  double momentum = 0.99;  ///< the fraction of the running statistics that is kept per step
  bool affine = true;      ///< scale and bias, of shape (1, 1, 1, C)
  Initializer bias_init = init::Constant(0);
  Initializer scale_init = init::Constant(1);
  std::string name{};

  void fields(Fields& f);
};

/// Training: normalises each channel by its mean and biased variance over batch and space, and updates the running
/// statistics: running = momentum * running + (1 - momentum) * batch. Evaluation, and training while a running
/// statistic is frozen: normalises by the running statistics. In training mode an input with one value per channel
/// throws ValueError, as in PyTorch.
class BatchNorm3d : public LayerWith<BatchNorm3dOptions, NormLayer> {
 public:
  explicit BatchNorm3d(BatchNorm3dOptions options = {});
  BatchState running_mean, running_var;  ///< leaf "value", (1, 1, 1, C); the initial values are 0 and 1

  Variable update(Variable x) override;
  void visit(Visitor& v) override;
  void build(const Size& in_size) override;
  std::string kind() const override { return "BatchNorm3d"; }
  bool has_training_mode() const override { return !running_mean.frozen() && !running_var.frozen(); }
};

struct GroupNormOptions {
  Size in_size{};                               ///< (C,), or a whole sample (..., C)
  std::optional<std::int64_t> num_groups = 32;  ///< must divide C
  std::optional<std::int64_t> group_size{};     ///< instead of num_groups, which must then be std::nullopt
  double epsilon = 1e-6;
  bool use_bias = true;
  bool use_scale = true;
  Initializer bias_init = init::ZeroInit();
  Initializer scale_init = init::Constant(1);
  std::string name{};

  void fields(Fields& f);
};

/// Normalises each sample within groups of channels. x (B, ..., C), or one sample if in_size is a whole one. Scale and
/// bias have shape (C,).
class GroupNorm : public LayerWith<GroupNormOptions, NormLayer> {
 public:
  explicit GroupNorm(GroupNormOptions options = {});
  Variable update(Variable x) override;
  void build(const Size& in_size) override;
  std::string kind() const override { return "GroupNorm"; }
};

struct InstanceNorm3dOptions {
  Size in_size{};  ///< (C,), or a whole sample (H, W, D, C)
  double epsilon = 1e-5;
  bool affine = false;  ///< scale and bias, of shape (C,)
  std::string name{};

  void fields(Fields& f);
};

/// Normalises each channel of each sample over space. x (B, H, W, D, C), or one sample if in_size is a whole one.
class InstanceNorm3d : public LayerWith<InstanceNorm3dOptions, NormLayer> {
 public:
  explicit InstanceNorm3d(InstanceNorm3dOptions options = {});
  Variable update(Variable x) override;
  void build(const Size& in_size) override;
  std::string kind() const override { return "InstanceNorm3d"; }
};

struct LayerNormOptions {
  Size in_size{};                          ///< the last axes of x; those that are normalised or scaled must be fixed
  std::vector<int> reduction_axes = {-1};  ///< axes of in_size over which the mean and variance are computed
  std::vector<int> feature_axes = {-1};    ///< axes of in_size that scale and bias keep; the others have extent 1 there
  double epsilon = 1e-6;
  bool use_bias = true;
  bool use_scale = true;
  Initializer bias_init = init::ZeroInit();
  Initializer scale_init = init::Constant(1);
  std::string name{};

  void fields(Fields& f);
};

/// Normalises x (..., in_size) over the reduction axes.
class LayerNorm : public LayerWith<LayerNormOptions, NormLayer> {
 public:
  explicit LayerNorm(LayerNormOptions options = {});
  Variable update(Variable x) override;
  void build(const Size& in_size) override;
  std::string kind() const override { return "LayerNorm"; }
};

}  // namespace vg
