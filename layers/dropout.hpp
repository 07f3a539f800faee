// Dropout as in brainstate, where `keep_prob` is the probability to keep an element.
#pragma once

#include <optional>
#include <utility>

#include "voxgrad/layers/layer.hpp"

namespace vg {

struct DropoutOptions {
  double keep_prob = 0.5;               ///< the probability to keep an element or a channel, in (0, 1]
  std::optional<std::uint64_t> seed{};  ///< if given, the layer has its own RandomState, which is saved with the model
  std::string name{};

  void fields(Fields& f);
};

/// The common base of the dropout layers. In training, each call takes one key from the layer's RandomState if it has a
/// seed, else from random::default_generator(). In evaluation, or with keep_prob = 1, the result is x.
class DropoutLayer : public LayerWith<DropoutOptions> {
 public:
  std::optional<RandomState> random;  ///< leaf "key"; present only with a seed

  Variable update(Variable x) override;
  void visit(Visitor& v) override;
  Attributes options() const override;
  bool has_training_mode() const override { return options_.keep_prob != 1; }

 protected:
  explicit DropoutLayer(DropoutOptions options);
  virtual Variable drop(const Variable& x, double keep_prob, const random::Key& key) const = 0;
};

/// Each element is kept and multiplied by 1 / keep_prob with probability keep_prob, and is 0 otherwise.
class Dropout : public DropoutLayer {
 public:
  explicit Dropout(DropoutOptions o = {}) : DropoutLayer(std::move(o)) { start(); }
  std::string kind() const override { return "Dropout"; }

 protected:
  Variable drop(const Variable& x, double keep_prob, const random::Key& key) const override;
};

/// Each channel of each sample of x (B, H, W, D, C), or (H, W, D, C), is kept whole and multiplied by 1 / keep_prob
/// with probability keep_prob, and is 0 otherwise: torch.nn.Dropout3d, brainstate.nn.Dropout3d. Throws ValueError for
/// any other rank.
class SpatialDropout3d : public DropoutLayer {
 public:
  explicit SpatialDropout3d(DropoutOptions o = {}) : DropoutLayer(std::move(o)) { start(); }
  std::string kind() const override { return "SpatialDropout3d"; }

 protected:
  Variable drop(const Variable& x, double keep_prob, const random::Key& key) const override;
};

}  // namespace vg
